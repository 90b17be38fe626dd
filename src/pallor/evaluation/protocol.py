"""The protocol: from a feature table to numbers that can be trusted.

Each modality alone and all together, under each regressor, always beside what sex and
age alone would reach and how well the features give sex away; participants never divided
between training and test; copies found by content; intervals over participants. The model
that counts is fixed beforehand (stacking on all modalities), never the best of the table.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pallor.errors import FeatureTableError, UsageError
from pallor.evaluation.baselines import BASELINES, REFERENCE, lacking
from pallor.evaluation.comparisons import fused_against_singles
from pallor.evaluation.copies import describe_copies, without_copies
from pallor.evaluation.doubts import doubts
from pallor.evaluation.flow import participants_flow
from pallor.evaluation.main_model import describe_main
from pallor.evaluation.part_store import PartStore
from pallor.evaluation.prior_work import prior_work
from pallor.evaluation.probe import probe_notes, probe_sex
from pallor.evaluation.probe_plan import plan_probes
from pallor.evaluation.record import (
    call_of,
    is_simulated,
    notes_of,
    outcome_of,
    suspicions,
    versions,
)
from pallor.evaluation.request import (
    DEMOGRAPHICS,
    HEADLINE,
    Request,
    columns_of_modalities,
    features_of,
    learners_of,
    make_controls,
    make_specs,
    modalities_asked,
    with_controls,
)
from pallor.evaluation.result import Evaluation, without_nan
from pallor.evaluation.splits import inner_groups, make_plan
from pallor.evaluation.study import Study, run_study
from pallor.evaluation.task import Explained, ModelFactory, Progress, Spec, Task, fused_regressor
from pallor.evaluation.unit import OUTCOME, unit_of_rows

if TYPE_CHECKING:
    import pandas as pd


def _left_out(table: pd.DataFrame, modalities: tuple[str, ...]) -> dict[str, NDArray[np.bool_]]:
    hemoglobin = table[OUTCOME].to_numpy(dtype=np.float64, na_value=np.nan)
    reasons = {"no hemoglobin value": ~np.isfinite(hemoglobin)}
    columns = columns_of_modalities(table, [name for name in modalities if name != DEMOGRAPHICS])
    if columns:
        values = table[list(columns)].to_numpy(dtype=np.float64, na_value=np.nan)
        reasons["no feature could be computed"] = ~np.isfinite(values).any(axis=1)
    return reasons


def _task(table: pd.DataFrame, request: Request) -> Task:
    from pallor.cohort.folds import components

    numbers = components(table)
    plan = make_plan(
        table,
        numbers,
        protocol=request.protocol,
        group=request.group,
        seed=request.seed,
        folds=request.folds,
        repeats=request.repeats,
    )
    headline, explained = request.headline, None
    # Under hold-out a repeat tests a fifth of the people; the seeds are the subject there.
    if headline is not None and request.protocol != "holdout":
        explained = Explained(headline, unit_of_rows(table, request.unit))
    return Task(
        features=features_of(with_controls(table, request.controls), request.all_specs),
        outcome=table[OUTCOME].to_numpy(dtype=np.float64),
        components=numbers,
        inner_groups=inner_groups(plan, numbers),
        plan=plan,
        specs=request.all_specs,
        factory=request.factory,
        seed=request.seed,
        quick=request.quick,
        open_store=request.open_store,
        explained=explained,
    )


def _scores(study: Study, table: pd.DataFrame, request: Request) -> dict[str, Any]:
    """Everything that is said of a set of rows, with copies or without."""
    headline = request.headline
    incremental = None
    if request.incremental is not None and REFERENCE in study.predicted:
        incremental = study.r2_gain(request.incremental.name, REFERENCE)
    return {
        "participants": study.units.participants,
        "clips": len(table),
        "units": len(study.units.measured),
        "models": [
            {
                "modalities": list(spec.modalities),
                "regressor": spec.regressor,
                "name": spec.name,
                **study.scores(spec.name),
            }
            for spec in request.table_specs
        ],
        "baselines": study.baselines(),
        "incremental_r2": incremental,
        "comparisons": fused_against_singles(study, request.specs, request.modalities),
        "held_out": None
        if headline is None or not study.complete
        else study.by_held_out(headline.name),
    }


def _in_order(table: pd.DataFrame) -> pd.DataFrame:
    """Sort rows by participant, session and clip, so that the order of a file decides nothing.

    (Without this, the resamples of the bootstrap would fall on other participants.)
    """
    keys = [name for name in ("participant_id", "session", "clip") if name in table.columns]
    return table.sort_values(keys, key=lambda column: column.astype(str), kind="stable")


def evaluate(
    table: pd.DataFrame,
    *,
    protocol: str = "nested",
    group: str | None = None,
    regressors: Sequence[str] = ("xgboost", "random_forest", "stacking"),
    modalities: Sequence[str] | None = None,
    quick: bool = False,
    seed: int = 0,
    repeats: int | None = None,
    folds: int | None = None,
    bootstrap: int = 2000,
    unit: str = "participant_session",
    progress: Progress | None = None,
    workers: int = 1,
    resume_dir: str | Path | None = None,
    command: str | None = None,
    model_factory: ModelFactory = fused_regressor,
) -> Evaluation:
    """Find out what estimates from these features are worth.

    Parameters
    ----------
    table
        Feature table, one row a clip; or a cohort table without features, for which only
        the baselines are scored. Rows without ``hemoglobin_g_dl`` are left out and counted.
    protocol
        ``nested``, ``quick``, ``holdout``, ``group`` or ``fold``, see ``pallor.evaluation.splits``.
        ``group`` is taken for granted where ``group`` names a column.
    group
        ``site``, ``camera`` or ``session``: each of its values is held out in turn.
    regressors
        Names of ``pallor.models.regressors.REGRESSORS``.
    modalities
        Default: all that the table holds; ``demographics`` may be asked for besides.
    quick
        Small models, and with ``nested`` the splits of ``quick``.
    seed
        Decides splits, models and resamples; equal seeds give equal results, whatever
        the number of workers.
    repeats, folds
        Instead of the protocol's own numbers.
    bootstrap
        Resamples of participants behind each interval.
    unit
        ``participant_session``: predictions for the clips of one participant and session
        are averaged before scoring. ``clip``: every clip counts by itself.
    progress
        Called after each fit, those of the sex probe included, with the number done, the
        number in all, and a label.
    workers
        Processes to fit in.
    resume_dir
        Folder for finished parts: called again with the same table and arguments, an
        interrupted evaluation goes on from them. They are removed at the end, and with them
        the folder, unless it holds something else. None keeps nothing.
    command
        The command line, for the record.
    model_factory
        Makes the models; for experiments with others.

    Returns
    -------
    The evaluation, with ``metrics`` and ``predictions``.

    Raises
    ------
    UsageError
        For names and numbers that do not make sense.
    FeatureTableError
        If the table lacks what was asked for, or participants.
    """
    absent = [name for name in ("participant_id", "clip", OUTCOME) if name not in table.columns]
    if absent:
        raise FeatureTableError(
            f"the table has no column {' and no '.join(absent)}: add to the cohort table what is"
            " missing and extract again"
        )
    if bootstrap < 0 or workers < 1 or seed < 0:
        raise UsageError("bootstrap and seed must be 0 or more, workers 1 or more")
    if group is not None and protocol in ("nested", "quick"):
        protocol = "group"
    elif quick and protocol == "nested":
        protocol = "quick"
    chosen = modalities_asked(table, modalities)
    learners = learners_of(regressors)
    flow = participants_flow(table, _left_out(table, chosen))
    rows = _in_order(table.loc[flow.scored]).reset_index(drop=True)
    incremental = None
    if chosen and HEADLINE in learners and not lacking(BASELINES["sex_age"], rows):
        everything = tuple(dict.fromkeys((DEMOGRAPHICS, *chosen)))
        incremental = Spec(
            everything, HEADLINE, learners[HEADLINE], columns_of_modalities(table, everything)
        )
    controls = {} if incremental is None else make_controls(rows, incremental.learners)
    folder = None if resume_dir is None else Path(resume_dir)
    request = Request(
        protocol, group, seed, folds, repeats, bootstrap, unit, quick or protocol == "quick",
        workers, model_factory, chosen, make_specs(table, chosen, learners), incremental, controls,
        None if folder is None else partial(PartStore, folder),
    )  # fmt: skip
    evaluation = _evaluate(rows, flow.account, request, progress, command)
    if folder is not None:
        PartStore.clear(folder)
    return evaluation


def _evaluate(
    rows: pd.DataFrame,
    account: dict[str, Any],
    request: Request,
    progress: Progress | None,
    command: str | None,
) -> Evaluation:
    from pallor.cohort.duplicates import duplicates_of_table

    notes = notes_of(rows, request)
    task = _task(rows, request)
    duplicates = duplicates_of_table(rows)
    unique, unique_task = None, None
    if duplicates.groups:
        unique = rows.loc[without_copies(duplicates)].reset_index(drop=True)
        try:
            unique_task = _task(unique, request)
        except FeatureTableError as error:
            notes.append(f"There are no scores without the copies: {error}.")
    probes = plan_probes(
        rows, task.plan, request.modalities, unit=request.unit, quick=request.quick
    )
    total = sum(work.steps for work in (task, unique_task) if work)
    total += sum(len(probe.splits) for probe in probes)
    finished = 0

    def done(label: str) -> None:
        nonlocal finished
        finished += 1
        if progress is not None:
            progress(finished, total, label)

    def run(part: pd.DataFrame, work: Task) -> Study:
        return run_study(
            part,
            work,
            unit=request.unit,
            bootstrap=request.bootstrap,
            workers=request.workers,
            done=done,
        )

    study = run(rows, task)
    without = None
    if unique is not None and unique_task is not None:
        without = _scores(run(unique, unique_task), unique, request)
    probed = [
        probe_sex(rows, probe, task, bootstrap=request.bootstrap, done=done) for probe in probes
    ]
    headline = request.headline
    scores = _scores(study, rows, request)
    warnings = suspicions(rows, task, request, scores["models"])
    metrics = {
        "simulated": is_simulated(rows),
        "protocol": request.protocol,
        "splits": {
            "folds": task.plan.folds,
            "repeats": task.plan.repeats,
            "group": task.plan.group,
            "quick": request.quick,
            "bootstrap": request.bootstrap,
            "unit": request.unit,
        },
        "headline": None if headline is None else headline.name,
        **scores,
        **describe_main(
            study, headline.name if headline else None, rows, task.components, request.seed
        ),
        **doubts(study, request),
        "prior_work": [work.as_dict() for work in prior_work()],
        "sex_probe": probed,
        "duplicates": describe_copies(rows, duplicates),
        "without_duplicates": without,
        "flow": account,
        "outcome": outcome_of(rows, study.units.measured),
        "seed": request.seed,
        "versions": versions(),
        "command": command or call_of(request.protocol, request),
        "notes": [*warnings, *notes, *task.plan.notes, *probe_notes(probed)],
    }
    return Evaluation(without_nan(metrics), study.frame())
