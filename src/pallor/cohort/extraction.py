"""A cohort to a feature table: every clip once, on all cores, going on after interruption."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from pallor._version import __version__
from pallor.cohort.address import is_address, shown
from pallor.cohort.atomic import remove_left_over
from pallor.cohort.clip_outcome import ClipFailure, ClipOutcome, ClipTask
from pallor.cohort.clip_store import ClipStore, clip_key
from pallor.cohort.extraction_finish import finish
from pallor.cohort.extraction_record import (
    earlier_record,
    library_versions,
    versions_before,
    write_record,
)
from pallor.cohort.extraction_worker import Measure, measure
from pallor.cohort.feature_folder import CLIPS, FORMAT, MEASURED_COLUMNS, SETTINGS, TABLE
from pallor.cohort.folder_lock import locked
from pallor.cohort.table import Cohort
from pallor.cohort.table_layout import ClipLayout, LayoutUnion, TableLayout
from pallor.errors import CohortError, FeatureTableError, UsageError
from pallor.features.settings import FeatureSettings, usable_cores

Progress = Callable[[int, int, str], None]
"""Called with clips read so far, clips in all, and the clip just read."""


class ClipRunner(Protocol):
    """What runs tasks: worker processes on this machine, or a cluster."""

    def run(self, tasks: Sequence[ClipTask]) -> Iterator[ClipOutcome]:
        """Yield one outcome a task, in any order; failures are outcomes, too."""


MakeRunner = Callable[[], AbstractContextManager[ClipRunner]]
"""Opens a runner; leaving its context ends all its work."""

_ASKING = 16


@dataclass(frozen=True)
class ExtractionResult:
    """What became of a cohort's clips; ``read`` is always ``done + failed``.

    Attributes
    ----------
    read
        Rows of the cohort.
    done
        Rows of the feature table.
    failed
        Rows that could not be measured.
    resumed
        How many of ``done`` were there from an earlier run.
    failures
        Why, one a failed row, in the order of the cohort.
    table
        Path of ``features.parquet``, a folder of parts; it does not exist where ``done`` is 0.
    """

    read: int
    done: int
    failed: int
    resumed: int
    failures: tuple[ClipFailure, ...]
    table: Path


def extract(
    cohort: Cohort,
    out: str | Path,
    modalities: Sequence[str] | None = None,
    workers: int = 1,
    progress: Progress | None = None,
    *,
    overwrite: bool = False,
    samples: int = 16,
    settings: FeatureSettings | None = None,
    time_limit_s: float | None = 3600.0,
    command: str | None = None,
    worker: Measure = measure,
    pool: MakeRunner | None = None,
) -> ExtractionResult:
    """Extract the features of every clip of a cohort.

    Parameters
    ----------
    cohort
        A validated cohort.
    out
        Folder of the feature table, made as needed. If it holds one already, clips that are
        measured and unchanged are not measured again; failed ones are tried again.
    modalities
        Names of modalities; None for color and, where a clip allows it, pulse.
    workers
        Worker processes; they share the processors among them.
    progress
        Called in this process after each clip.
    overwrite
        Forget what the folder holds and start anew.
    samples
        Uniformly spaced looks at the full-resolution picture.
    settings
        How features are to be computed; ``threads`` is set here.
    time_limit_s
        Longest time for one clip, None for no limit.
    command
        Command line to put into ``extraction.json``.
    worker
        What measures a clip; a function of an importable module.
    pool
        Makes what runs the tasks (a cluster, say) instead of worker processes on this
        machine; ``workers``, ``time_limit_s`` and ``worker`` are then its own business.

    Returns
    -------
    ExtractionResult
        A clip that cannot be measured is counted and listed and stops nothing.

    Raises
    ------
    UsageError
        For an unknown modality or less than one worker or sample.
    WeightsError
        If the weights of a network are absent or altered.
    CohortError
        If a column of the cohort cannot be stored, or has the name of one that extraction
        writes.
    FeatureTableError
        If the folder holds other files or other settings, is in use or not writable, or
        worker processes do not start.
    """
    from pallor.features.backbones.network import forget_networks
    from pallor.features.registry import USUAL, check_modalities, check_ready

    if workers < 1:
        raise UsageError(f"workers is {workers}: at least 1 is needed")
    if samples < 1:
        raise UsageError(f"samples is {samples}: at least 1 is needed")
    names = USUAL if modalities is None else tuple(check_modalities(modalities))
    settings = _for_workers(settings or FeatureSettings(), workers)
    networks = check_ready(names, settings)
    forget_networks()  # the workers load their own
    if not networks:  # nothing that a precision or frames could be of
        settings = FeatureSettings()
    _check_columns(cohort, names)
    folder = Path(out)
    tasks = _tasks(cohort, names, modalities is None, samples, settings)
    asked = {
        "modalities_asked": "auto" if modalities is None else list(names),
        "samples": samples,
        "precision": settings.precision,
        "keep_frames": settings.keep_frames,
        "networks": networks,
        "pallor": __version__,
    }
    try:
        _prepare_folder(folder)
        with locked(folder):
            store = ClipStore(folder / CLIPS)
            store.tidy()
            remove_left_over(folder)
            earlier = {} if overwrite else earlier_record(folder, asked)
            if overwrite:
                store.clear()
            versions = library_versions()
            record: dict[str, Any] = {
                "format": FORMAT,
                "complete": False,
                **asked,
                "versions": versions,
                "versions_before": versions_before(earlier, versions),
                "command": command,
            }
            write_record(folder, record)
            if pool is None:
                pool = _local_pool(workers, worker, time_limit_s)
            failures, resumed, layout = _run(tasks, store, pool, progress)
            done, listed = finish(cohort, folder, tasks, store, failures, layout, record)
    except OSError as error:
        raise FeatureTableError(f"{folder}: {error}") from error
    return ExtractionResult(len(tasks), done, len(listed), resumed, listed, folder / TABLE)


def _check_columns(cohort: Cohort, modalities: tuple[str, ...]) -> None:
    """Refuse, before the work, a cohort that could not be written after it."""
    import pyarrow as pa

    columns = [str(name) for name in cohort.frame.columns]
    taken = [
        name
        for name in columns
        if (name in MEASURED_COLUMNS and name != "simulated")
        or ("." in name and name.partition(".")[0] in modalities)
    ]
    if taken:
        raise CohortError(
            f"the cohort's column {', '.join(taken)} has the name of a column that extraction "
            "writes: rename it"
        )
    try:
        pa.Table.from_pandas(cohort.frame, preserve_index=False)
    except (pa.ArrowException, ValueError, TypeError) as error:
        raise CohortError(f"a column of the cohort cannot be stored: {error}") from error


def _for_workers(settings: FeatureSettings, workers: int) -> FeatureSettings:
    """Share the processors out, and name files so that every process finds them."""
    files = {name: str(Path(file).expanduser().absolute()) for name, file in settings.files.items()}
    return replace(settings, files=files, threads=max(1, usable_cores() // workers))


def _tasks(
    cohort: Cohort, names: tuple[str, ...], auto: bool, samples: int, settings: FeatureSettings
) -> list[ClipTask]:
    people = cohort.frame["participant_id"].tolist()
    clips = cohort.frame["clip"].tolist()
    return [
        ClipTask(
            clip_key(person, clip),
            person,
            clip,
            place,
            names,
            auto,
            samples,
            settings,
        )
        for person, clip, place in zip(people, clips, cohort.clip_places(), strict=True)
    ]


def _prepare_folder(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise FeatureTableError(f"{folder}: this is a file; name a folder")
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / SETTINGS).exists():
        return
    foreign = sorted(p.name for p in folder.iterdir() if p.name != CLIPS and p.name[0] != ".")
    if foreign:
        raise FeatureTableError(
            f"{folder}: holds other files ({', '.join(foreign[:3])}) and no feature table: name "
            "a new or empty folder"
        )


def _local_pool(workers: int, worker: Measure, time_limit_s: float | None) -> MakeRunner:
    from pallor.cohort.worker_pool import WorkerPool

    return lambda: WorkerPool(workers, worker, time_limit_s)


def _run(
    tasks: list[ClipTask], store: ClipStore, pool: MakeRunner, progress: Progress | None
) -> tuple[dict[str, ClipFailure], int, TableLayout]:
    """Measure what is not stored; return failures by key, how many were stored, the columns."""
    report: Progress = progress if progress is not None else lambda _done, _total, _clip: None
    stored = _stored(tasks, store)
    columns = LayoutUnion()
    for layout in stored:
        if layout is not None:
            columns.add(layout)
    pending = [task for task, layout in zip(tasks, stored, strict=True) if layout is None]
    resumed = len(tasks) - len(pending)
    failures: dict[str, ClipFailure] = {}
    if resumed:
        report(resumed, len(tasks), "")
    if not pending:
        return failures, resumed, columns.table()
    read = resumed
    awaited = {task.key for task in pending}
    with pool() as runner:
        for outcome in runner.run(pending):
            if outcome.failure is not None:
                failures[outcome.task.key] = outcome.failure
            else:
                store.put(outcome)
                columns.add(outcome.layout())
            awaited.discard(outcome.task.key)
            read += 1
            report(read, len(tasks), shown(outcome.task.clip))
    for task in pending:
        if task.key in awaited:  # lost on the way; what is stored is of an earlier file
            clip = shown(task.clip)
            failures[task.key] = ClipFailure(
                task.participant_id, task.clip, "internal", f"{clip}: no outcome came back"
            )
    return failures, resumed, columns.table()


def _stored(tasks: list[ClipTask], store: ClipStore) -> list[ClipLayout | None]:
    """Return what is stored of each task, None where it is still to be done."""
    if not any(is_address(task.path) for task in tasks):
        return [store.check(task) for task in tasks]
    from concurrent.futures import ThreadPoolExecutor

    # A server is asked about each stored clip: waiting, which many can do at once.
    with ThreadPoolExecutor(_ASKING) as threads:
        return list(threads.map(store.check, tasks))
