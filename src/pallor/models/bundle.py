"""The model file: one zip that holds what a model knows and what it was trained on.

``model.json`` holds the metadata and the intervals, ``estimator.skops`` the fitted estimator
in the format of the package skops, which builds objects only of types that are named in
`TRUSTED_TYPES` below; the file itself has no say in that list. No pickle is ever loaded.

The comment at the end of the zip is the SHA-256 of every byte before it. A file with a single
changed, missing or added byte is refused. This is integrity, not authenticity: it finds
damage, and anybody who builds a file can compute the hash. Load models from people you trust;
an untrusted one cannot run code of its own through Python, but the tree ensembles inside are
read by compiled code of scikit-learn and XGBoost that was not made for hostile input.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pallor.errors import ModelFileError
from pallor.models.model import Model
from pallor.models.uncertainty import ConformalIntervals

FORMAT_VERSION = 1
METADATA_MEMBER = "model.json"
ESTIMATOR_MEMBER = "estimator.skops"

TRUSTED_TYPES: tuple[str, ...] = (
    "numpy.dtype",
    "pallor.models.fusion.FusedRegressor",
    "sklearn.tree._tree.Tree",
    "xgboost.core.Booster",
    "xgboost.sklearn.XGBRegressor",
)
"""Types beyond the defaults of skops that an estimator of ours is made of."""

MAX_FILE_BYTES = 512 * 2**20
MAX_JSON_BYTES = 32 * 2**20
MAX_UNPACKED_BYTES = 2 * 2**30
MAX_INNER_MEMBERS = 200_000

_COMMENT_PREFIX = b"pallor-sha256:"
_COMMENT_BYTES = len(_COMMENT_PREFIX) + 64
_REQUIRED: dict[str, type | tuple[type, ...]] = {
    "format_version": int,
    "id": str,
    "pallor_version": str,
    "modalities": list,
    "regressor": str,
    "feature_names": list,
    "input_kind": str,
    "simulated": bool,
    "cohort": dict,
    "metrics": dict,
    "versions": dict,
    "notes": list,
}


def build_model(
    estimator: Any, metadata: Mapping[str, Any], intervals: ConformalIntervals
) -> Model:
    """Make a model of a fitted estimator: serialize it and derive the model's id.

    Parameters
    ----------
    estimator
        Fitted `pallor.models.fusion.FusedRegressor`.
    metadata
        Without ``id`` and ``format_version``, which are added.
    intervals
        Its prediction intervals.
    """
    import skops.io

    content = skops.io.dumps(
        estimator.without_training_rows(), compression=zipfile.ZIP_DEFLATED, compresslevel=6
    )
    complete = {
        "format_version": FORMAT_VERSION,
        "id": hashlib.sha256(content).hexdigest()[:16],
        **metadata,
    }
    return Model(estimator, complete, intervals, content)


def save_model(model: Model, path: str | Path) -> Path:
    """Write a model file, completely or not at all.

    Parameters
    ----------
    model
        What `pallor.models.training.train` returned, or a loaded one.
    path
        Where; an existing file is replaced.

    Returns
    -------
    Path
        The path.

    Raises
    ------
    ModelFileError
        The folder is absent or not writable.
    """
    from pallor.cohort.atomic import write_bytes

    target = Path(path)
    document = {"metadata": dict(model.metadata), "intervals": model.intervals.as_dict()}
    text = json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False, sort_keys=True)
    data = pack({METADATA_MEMBER: text.encode(), ESTIMATOR_MEMBER: model.estimator_bytes})
    try:
        write_bytes(target, data)
    except OSError as error:
        raise ModelFileError(f"{target}: cannot be written: {error.strerror or error}") from error
    return target


def pack(members: Mapping[str, bytes]) -> bytes:
    """Return a zip of these members with the hash of its bytes as the comment."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            # A fixed time: equal models make equal files. skops has compressed its own part.
            info = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            packed = zipfile.ZIP_STORED if name == ESTIMATOR_MEMBER else zipfile.ZIP_DEFLATED
            archive.writestr(info, content, compress_type=packed)
        archive.comment = _COMMENT_PREFIX + b"0" * 64
    body = buffer.getvalue()[:-_COMMENT_BYTES]
    return body + _COMMENT_PREFIX + hashlib.sha256(body).hexdigest().encode()


def load_model(path: str | Path) -> Model:
    """Read a model file.

    Parameters
    ----------
    path
        A file that `save_model` wrote.

    Returns
    -------
    Model
        Predicts what the saved one predicted, to the last bit on the same machine.

    Raises
    ------
    ModelFileError
        The file is absent, no model file, altered, too large, of another format or library
        version, or holds a type that is not in `TRUSTED_TYPES`.
    """
    source = Path(path)
    data = _read(source)
    try:
        metadata, intervals, content = _open(data)
        estimator = load_estimator(content)
        _check_columns(estimator, metadata)
    except ModelFileError as error:
        raise ModelFileError(f"{source}: {error}") from error.__cause__
    return Model(estimator, metadata, intervals, content)


def read_metadata(path: str | Path) -> dict[str, Any]:
    """Read what a model file says of its model, without building the estimator.

    Parameters
    ----------
    path
        A file that `save_model` wrote.

    Raises
    ------
    ModelFileError
        As `load_model` does, but for what is wrong inside the estimator.
    """
    source = Path(path)
    data = _read(source)
    try:
        return _open(data)[0]
    except ModelFileError as error:
        raise ModelFileError(f"{source}: {error}") from error.__cause__


def _read(source: Path) -> bytes:
    try:
        if source.stat().st_size > MAX_FILE_BYTES:
            raise ModelFileError(
                f"{source}: larger than {MAX_FILE_BYTES >> 20} MB, which no model is"
            )
        return source.read_bytes()
    except FileNotFoundError as error:
        raise ModelFileError(f"{source}: no such model file") from error
    except OSError as error:
        raise ModelFileError(f"{source}: cannot be read: {error.strerror or error}") from error


def _open(data: bytes) -> tuple[dict[str, Any], ConformalIntervals, bytes]:
    """Return metadata, intervals and the estimator's bytes, all checked but the last."""
    members = unpack(data)
    metadata, intervals = _metadata(members[METADATA_MEMBER])
    content = members[ESTIMATOR_MEMBER]
    if hashlib.sha256(content).hexdigest()[:16] != metadata["id"]:
        raise ModelFileError("the estimator is not the one that its id names")
    check_versions(metadata["versions"])
    return metadata, intervals, content


def unpack(data: bytes) -> dict[str, bytes]:
    """Check the bytes of a model file against their hash and return the two members.

    Raises
    ------
    ModelFileError
        Not a model file, altered, or its members are not the two expected ones of bounded size.
    """
    if not data.startswith(b"PK"):
        raise ModelFileError("not a model file: write one with pallor train")
    body, comment = data[:-_COMMENT_BYTES], data[-_COMMENT_BYTES:]
    if not comment.startswith(_COMMENT_PREFIX):
        raise ModelFileError("not a model file of pallor, or it was cut off or altered")
    if comment[len(_COMMENT_PREFIX) :] != hashlib.sha256(body).hexdigest().encode():
        raise ModelFileError("the file was altered or damaged: copy it again from its source")
    limits = {METADATA_MEMBER: MAX_JSON_BYTES, ESTIMATOR_MEMBER: MAX_FILE_BYTES}
    members: dict[str, bytes] = {}
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = [info.filename for info in archive.infolist()]
            if sorted(names) != sorted(limits):
                raise ModelFileError(f"must hold exactly {' and '.join(limits)}")
            for info in archive.infolist():
                limit = limits[info.filename]
                with archive.open(info) as member:
                    # Declared sizes can lie: what is read is bounded, too.
                    content = b"" if info.file_size > limit else member.read(limit + 1)
                if info.file_size > limit or len(content) > limit:
                    raise ModelFileError(f"{info.filename} is larger than {limit >> 20} MB")
                members[info.filename] = content
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError) as error:
        raise ModelFileError(f"not a valid zip: {error}") from error
    return members


def load_estimator(content: bytes) -> Any:
    """Build the estimator from its bytes, with types in `TRUSTED_TYPES` alone.

    Raises
    ------
    ModelFileError
        It names another type, is no FusedRegressor, too large, or damaged.
    """
    import skops.io

    from pallor.models.fusion import FusedRegressor

    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            infos = archive.infolist()
        if len(infos) > MAX_INNER_MEMBERS or sum(i.file_size for i in infos) > MAX_UNPACKED_BYTES:
            raise ModelFileError("the estimator unpacks to more than any model of ours")
        unknown = sorted(set(skops.io.get_untrusted_types(data=content)) - set(TRUSTED_TYPES))
        if unknown:
            raise ModelFileError(
                f"the estimator holds the type {unknown[0]}, which a model of pallor does not: "
                "it is not loaded; use a file that pallor train wrote"
            )
        estimator = skops.io.loads(content, trusted=list(TRUSTED_TYPES))
    except ModelFileError:
        raise
    # What skops raises on a hostile or damaged schema is not bounded to a few classes; all of
    # it means the same to the user, and none of it may end a batch or a server.
    except Exception as error:
        raise ModelFileError(f"the estimator cannot be read: {error}") from error
    if not isinstance(estimator, FusedRegressor):
        raise ModelFileError(f"the estimator is a {type(estimator).__name__}, not a FusedRegressor")
    return estimator


def library_versions() -> dict[str, str]:
    """Return the versions of the libraries that an estimator depends on."""
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for name in ("numpy", "scikit-learn", "xgboost", "xgboost-cpu", "skops", "crepes"):
        try:
            found[name.removesuffix("-cpu")] = version(name)
        except PackageNotFoundError:
            continue
    return found


def check_versions(trained: Mapping[str, Any]) -> None:
    """Refuse a model of another scikit-learn (major.minor) or XGBoost (major).

    Fitted trees are stored in a layout that changes between versions; what loads may predict
    something else, and nothing would say so.

    Raises
    ------
    ModelFileError
        Versions differ; names what to install.
    """
    here = library_versions()
    for library, parts in (("scikit-learn", 2), ("xgboost", 1)):
        then, now = (str(v.get(library, "")).split(".")[:parts] for v in (trained, here))
        if then != now:
            raise ModelFileError(
                f"written with {library} {trained.get(library, 'of unknown version')}, here is "
                f"{here.get(library, 'none')}: install {library} {'.'.join(then)}.*, or train again"
            )


def _metadata(content: bytes) -> tuple[dict[str, Any], ConformalIntervals]:
    try:
        document = json.loads(content)
        metadata, intervals = document["metadata"], document["intervals"]
        version = metadata["format_version"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ModelFileError(f"{METADATA_MEMBER} is not valid") from error
    if version != FORMAT_VERSION:
        raise ModelFileError(
            f"model format {version}, this pallor reads {FORMAT_VERSION}: install the pallor "
            "version that wrote it, or train again"
        )
    for name, kind in _REQUIRED.items():
        if not isinstance(metadata.get(name), kind):
            raise ModelFileError(f"{METADATA_MEMBER}: {name} is absent or of the wrong kind")
    return metadata, ConformalIntervals.from_dict(intervals)


def _check_columns(estimator: Any, metadata: Mapping[str, Any]) -> None:
    columns = getattr(estimator, "columns_", None)
    if not isinstance(columns, dict):
        raise ModelFileError("the estimator is not fitted")
    if [name for names in columns.values() for name in names] != metadata["feature_names"]:
        raise ModelFileError("the estimator's features are not those of the metadata")
