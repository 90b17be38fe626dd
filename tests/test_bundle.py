from __future__ import annotations

import dataclasses
import functools
import hashlib
import io
import json
import os
import pickle
import zipfile

import numpy as np
import pandas as pd
import pytest
import skops.io

from pallor.errors import ModelFileError
from pallor.models import bundle
from pallor.models.bundle import (
    ESTIMATOR_MEMBER,
    METADATA_MEMBER,
    TRUSTED_TYPES,
    load_estimator,
    load_model,
    pack,
    save_model,
    unpack,
)
from pallor.models.fusion import FusedRegressor
from pallor.models.model import Model
from pallor.models.regressors import REGRESSORS
from pallor.models.training import train


def _table(people: int = 30) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    y = rng.normal(13.5, 1.4, people)
    table = pd.DataFrame(
        {
            "participant_id": [f"p{i}" for i in range(people)],
            "clip": [f"{i}.mp4" for i in range(people)],
            "hemoglobin_g_dl": y,
            "sex": np.where(rng.random(people) < 0.5, "male", "female"),
            "age_years": rng.uniform(20, 60, people),
            "input_kind": "face_video",
            "simulated": True,
        }
    )
    for index in range(5):
        table[f"color.face.q{index}.mean"] = (y + rng.normal(0, 2, people)).astype(np.float32)
    return table


@pytest.fixture(scope="module")
def model() -> Model:
    return train(_table(), regressor="stacking", demographics=True, quick=True)


@pytest.fixture(scope="module")
def data(model, tmp_path_factory) -> bytes:
    return save_model(model, tmp_path_factory.mktemp("models") / "m.pallor").read_bytes()


def _columns(model: Model) -> pd.DataFrame:
    from pallor.models.preprocessing import with_demographics

    return with_demographics(_table())


def test_round_trip_predicts_the_same_bits(model, tmp_path):
    loaded = load_model(save_model(model, tmp_path / "m.pallor"))
    table = _columns(model)
    assert np.array_equal(loaded.estimator.predict(table), model.estimator.predict(table))
    assert loaded.metadata == model.metadata
    assert loaded.intervals == model.intervals
    again = save_model(loaded, tmp_path / "again.pallor")
    assert again.read_bytes() == (tmp_path / "m.pallor").read_bytes()


@pytest.mark.parametrize("regressor", REGRESSORS)
def test_every_regressor_is_made_of_trusted_types(regressor, tmp_path):
    table = _table()
    made = train(table, regressor=regressor, quick=True)
    loaded = load_model(save_model(made, tmp_path / "m.pallor"))
    assert np.array_equal(loaded.estimator.predict(table), made.estimator.predict(table))


def test_every_single_learner_is_made_of_trusted_types():
    table = _table()
    rows = np.arange(len(table))
    for learner in REGRESSORS["stacking"]:
        fitted = FusedRegressor(("color",), (learner,), quick=True)
        fitted.fit(table, table["hemoglobin_g_dl"], rows)
        content = skops.io.dumps(fitted.without_training_rows())
        assert set(skops.io.get_untrusted_types(data=content)) <= set(TRUSTED_TYPES)
        loaded = load_estimator(content)
        assert np.array_equal(loaded.predict(table), fitted.predict(table))


def test_the_file_holds_no_training_row(data):
    loaded = load_estimator(unpack(data)[ESTIMATOR_MEMBER])
    for name in ("oof_", "oof_prediction_", "inner_folds_"):
        assert not hasattr(loaded, name)
    assert b"p29" not in unpack(data)[METADATA_MEMBER]


def test_no_learner_keeps_an_array_with_a_row_for_each_row_of_training():
    table = _table()
    groups = np.arange(len(table))
    outcome = table["hemoglobin_g_dl"].to_numpy()
    fitted = FusedRegressor(("color",), ("pls",), quick=True).fit(table, outcome, groups)
    ((_, member),) = fitted.without_training_rows().members_.items()
    kept = {name: np.shape(value) for name, value in vars(member.steps[1][1]).items()}
    assert not [name for name, shape in kept.items() if shape[:1] == (len(table),)]
    before = fitted.members_["color/pls"].steps[1][1]
    assert len(before.y_scores_) == len(table)


def test_any_single_changed_byte_is_refused(data):
    end = len(data)
    central = data.rindex(b"PK\x01\x02")
    rng = np.random.default_rng(0)
    positions = {
        *range(200),
        *range(central, end),
        *rng.integers(0, end, 300).tolist(),
    }
    for position in sorted(positions):
        for change in (0x01, 0x20, 0xFF):
            altered = bytearray(data)
            altered[position] ^= change
            with pytest.raises(ModelFileError):
                unpack(bytes(altered))


def test_missing_and_added_bytes_are_refused(data):
    for altered in (
        data[:-1],
        data + b"\0",
        data[1:],
        data[:100] + data[101:],
        b"",
        b"PK",
        data * 2,
    ):
        with pytest.raises(ModelFileError):
            unpack(altered)


def _file(tmp_path, metadata_bytes: bytes, estimator: bytes):
    path = tmp_path / "forged.pallor"
    path.write_bytes(pack({METADATA_MEMBER: metadata_bytes, ESTIMATOR_MEMBER: estimator}))
    return path


def _forged(tmp_path, data: bytes, estimator: bytes | None = None, **changes):
    """Write a file whose hashes are right, as an attacker would."""
    members = unpack(data)
    document = json.loads(members[METADATA_MEMBER])
    content = members[ESTIMATOR_MEMBER] if estimator is None else estimator
    document["metadata"]["id"] = hashlib.sha256(content).hexdigest()[:16]
    document["metadata"].update(changes)
    return _file(tmp_path, json.dumps(document).encode(), content)


def test_foreign_types_are_refused_by_name_although_every_hash_is_right(data, tmp_path):
    good = load_estimator(unpack(data)[ESTIMATOR_MEMBER])
    marker = tmp_path / "ran"
    good.columns_["color"] = functools.partial(os.system, f"touch {marker}")
    path = _forged(tmp_path, data, skops.io.dumps(good))
    with pytest.raises(
        ModelFileError, match=r"os\.system|posix\.system|functools\.partial|nt\.system"
    ):
        load_model(path)
    assert not marker.exists()


def test_a_schema_that_names_a_function_to_call_is_refused(data, tmp_path):
    marker = tmp_path / "ran"
    for module, name in (("os", "system"), ("builtins", "eval"), ("subprocess", "Popen")):
        buffer = io.BytesIO()
        with (
            zipfile.ZipFile(io.BytesIO(unpack(data)[ESTIMATOR_MEMBER])) as old,
            zipfile.ZipFile(buffer, "w") as new,
        ):
            schema = json.loads(old.read("schema.json"))
            schema["__module__"], schema["__class__"] = module, name
            for info in old.infolist():
                content = old.read(info)
                if info.filename == "schema.json":
                    content = json.dumps(schema).encode()
                new.writestr(info.filename, content)
        with pytest.raises(ModelFileError, match=f"{module}.{name}"):
            load_model(_forged(tmp_path, data, buffer.getvalue()))
    assert not marker.exists()


class _Bomb:
    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_a_pickle_is_never_loaded(data, tmp_path):
    marker = tmp_path / "ran"
    bomb = pickle.dumps(_Bomb(str(marker)))
    with pytest.raises(ModelFileError):
        load_model(_forged(tmp_path, data, bomb))
    array = io.BytesIO()
    np.save(array, np.array([_Bomb(str(marker))], dtype=object), allow_pickle=True)
    buffer = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(unpack(data)[ESTIMATOR_MEMBER])) as old,
        zipfile.ZipFile(buffer, "w") as new,
    ):
        for info in old.infolist():
            npy = info.filename.endswith(".npy")
            new.writestr(info.filename, array.getvalue() if npy else old.read(info))
    with pytest.raises(ModelFileError):
        load_model(_forged(tmp_path, data, buffer.getvalue()))
    path = tmp_path / "plain.pallor"
    path.write_bytes(bomb)
    with pytest.raises(ModelFileError, match="not a model file"):
        load_model(path)
    assert not marker.exists()


def test_another_estimator_than_ours_is_refused(data, tmp_path):
    from sklearn.linear_model import Ridge

    other = skops.io.dumps(Ridge().fit(np.eye(3), np.arange(3.0)))
    with pytest.raises(ModelFileError, match="Ridge"):
        load_model(_forged(tmp_path, data, other))
    with pytest.raises(ModelFileError, match="not fitted"):
        load_model(_forged(tmp_path, data, skops.io.dumps(FusedRegressor())))


def test_members_must_be_exactly_the_two(data):
    members = unpack(data)
    for wrong in (
        {METADATA_MEMBER: members[METADATA_MEMBER]},
        {**members, "more.txt": b"x"},
        {"../model.json": b"{}", ESTIMATOR_MEMBER: b"x"},
    ):
        with pytest.raises(ModelFileError, match="exactly"):
            unpack(pack(wrong))


def test_what_unpacks_to_too_much_is_refused(data, tmp_path, monkeypatch):
    with pytest.raises(ModelFileError, match="larger than 32 MB"):
        load_model(_file(tmp_path, b" " * (bundle.MAX_JSON_BYTES + 1), b"x"))
    monkeypatch.setattr(bundle, "MAX_UNPACKED_BYTES", 1000)
    with pytest.raises(ModelFileError, match="unpacks"):
        load_estimator(unpack(data)[ESTIMATOR_MEMBER])
    path = tmp_path / "m.pallor"
    path.write_bytes(data)
    monkeypatch.setattr(bundle, "MAX_FILE_BYTES", 100)
    with pytest.raises(ModelFileError, match="larger"):
        load_model(path)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"format_version": 2}, "format 2"),
        ({"versions": {"scikit-learn": "0.24.1", "xgboost": "3.2.0"}}, "scikit-learn 0.24"),
        ({"versions": {}}, "scikit-learn"),
        ({"feature_names": ["color.x"]}, "features"),
        ({"modalities": "color"}, "modalities"),
        ({"id": "0" * 16}, "id"),
        ({"cohort": None}, "cohort"),
    ],
)
def test_metadata_that_does_not_fit_is_refused_with_advice(data, tmp_path, changes, word):
    with pytest.raises(ModelFileError, match=word) as caught:
        load_model(_forged(tmp_path, data, **changes))
    assert "forged.pallor" in str(caught.value)


def test_damaged_json_is_refused(data, tmp_path):
    estimator = unpack(data)[ESTIMATOR_MEMBER]
    for text in (b"", b"[]", b"{", b"\xff", b'{"metadata": []}', b"[" * 100_000):
        with pytest.raises(ModelFileError):
            load_model(_file(tmp_path, text, estimator))


def test_absent_files_and_folders_are_named(model, tmp_path):
    with pytest.raises(ModelFileError, match=r"nowhere\.pallor: no such"):
        load_model(tmp_path / "nowhere.pallor")
    with pytest.raises(ModelFileError, match="cannot be read"):
        load_model(tmp_path)
    with pytest.raises(ModelFileError, match="cannot be written"):
        save_model(model, tmp_path / "absent" / "m.pallor")


def test_writing_that_fails_leaves_the_old_file(model, tmp_path, monkeypatch):
    path = save_model(model, tmp_path / "m.pallor")
    before = path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ModelFileError, match="No space left"):
        save_model(model, path)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["m.pallor"]


def test_gaps_never_reach_the_json(model, tmp_path):
    broken = dataclasses.replace(model, metadata={**model.metadata, "seed": float("nan")})
    with pytest.raises(ValueError, match="JSON"):
        save_model(broken, tmp_path / "m.pallor")
