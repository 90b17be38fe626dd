"""Extraction wherever it is asked for: workers here or a cluster, output a folder or an address."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pallor.cohort.address import is_address, usable_address
from pallor.cohort.extraction import ExtractionResult, MakeRunner, extract
from pallor.cohort.feature_folder import FAILURES, SETTINGS, TABLE
from pallor.cohort.table import Cohort
from pallor.errors import UsageError
from pallor.features.settings import usable_cores


def extract_to(
    cohort: Cohort,
    output: str | Path,
    *,
    workers: int | None = None,
    scheduler: str | None = None,
    wait_s: float = 600.0,
    work: str | Path | None = None,
    time_limit_s: float | None = 3600.0,
    say: Callable[[str], None] | None = None,
    **options: Any,
) -> ExtractionResult:
    """Extract the features of a cohort.

    Parameters
    ----------
    cohort
        A validated cohort.
    output
        Folder of the feature table, or its address (``s3://...``): the table is then made in
        a folder of this machine and published at the end.
    workers
        Worker processes of this machine, 1 by default.
    scheduler
        Address of a Dask scheduler whose workers measure instead.
    wait_s
        Longest time without any worker of Dask.
    work
        Folder to work in where ``output`` is an address; by default one in the cache of
        pallor. It is kept, and the next run goes on from it.
    time_limit_s
        Longest time for one clip, None for no limit.
    say
        Called with what a user should know.
    **options
        As in `pallor.cohort.extraction.extract`.

    Returns
    -------
    ExtractionResult
        Its ``table`` lies in the folder of this machine.

    Raises
    ------
    UsageError
        If options exclude each other, or an address cannot be used.
    FeatureTableError
        As `extract`, and if the scheduler is lost or the address cannot be written to. What
        is finished is kept.
    """
    if scheduler is not None and workers is not None:
        raise UsageError(
            "--workers counts processes of this machine: leave it out with --scheduler"
        )
    tell = say if say is not None else lambda _text: None
    pool = None if scheduler is None else _cluster(scheduler, wait_s, time_limit_s, tell)
    # A worker of Dask has as many clips at work as threads, so each gets one.
    processes = 1 if workers is None else workers
    options["time_limit_s"] = time_limit_s
    if scheduler is not None:
        processes = usable_cores()
    if not is_address(str(output)):
        if work is not None:
            raise UsageError("--work names a folder for an output at an address: leave it out")
        return extract(cohort, output, workers=processes, pool=pool, **options)
    from pallor.cohort.remote_folder import check_writable, publish

    address = usable_address(str(output), "the output").rstrip("/")
    check_writable(address, SETTINGS)
    folder = Path(work) if work is not None else work_folder(address)
    tell(f"note: working in {folder}")
    result = extract(cohort, folder, workers=processes, pool=pool, **options)
    publish(folder, address, SETTINGS, (TABLE, FAILURES))
    return result


def work_folder(address: str) -> Path:
    """Return the folder in which the feature table of an address is made."""
    from pallor.weights.cache import cache_dir

    name = re.sub(r"[^A-Za-z0-9]+", "-", address.partition("://")[2]).strip("-")[-40:]
    digest = hashlib.sha256(address.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return cache_dir() / "extractions" / f"{name}-{digest}"


def _cluster(
    scheduler: str, wait_s: float, time_limit_s: float | None, say: Callable[[str], None]
) -> MakeRunner:
    from pallor.cohort.scheduler_address import check_scheduler, trust_note

    address = check_scheduler(scheduler)
    note = trust_note(address)
    if note:
        say(f"note: {note}")
    from pallor.cohort.dask_runner import DaskRunner

    runner = DaskRunner(address, wait_s, time_limit_s=time_limit_s)
    return lambda: runner
