"""The ideal observer of a simulated cohort, scored on the folds of an evaluation."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from pallor.cli.output import SIMULATED, console, score_cell
from pallor.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd

    from pallor.evaluation.metrics import Interval
    from pallor.simulation.oracle import Observations
    from pallor.simulation.settings import Settings

FloatArray = NDArray[np.float64]

ORACLE_FILE: Final = "oracle.json"
OTHERS: Final = 3000
"""How many other simulated people the observer learns from who is not short of data."""
FIRST_OTHER: Final = 1_000_000
"""Number of the first of them; cohorts do not reach that far."""
RESAMPLES: Final = 2000
SEED: Final = 0
PARTICIPANT, SESSION, LABEL = "participant_id", "session", "hemoglobin_g_dl"


@dataclass(frozen=True)
class Answer:
    """What the ideal observer reaches, the content of ``oracle.json``."""

    metrics: dict[str, Any]

    def save(self, folder: Path) -> Path:
        """Write ``oracle.json`` into a folder."""
        from pallor.cohort.atomic import write_text
        from pallor.evaluation.result import without_nan

        text = json.dumps(without_nan(self.metrics), indent=2, allow_nan=False)
        write_text(folder / ORACLE_FILE, text + "\n")
        return folder / ORACLE_FILE


@dataclass(frozen=True)
class _Bench:
    """Clips, and in which fold each is tested.

    Attributes
    ----------
    seen
        What there is to see of the clips.
    fold
        ``(repeats, clips)``.
    counts
        Resamples of the participants.
    person
        Index of each clip's participant, ``(clips,)``.
    """

    seen: Observations
    fold: NDArray[np.intp]
    counts: NDArray[np.uint16]
    person: NDArray[np.intp]

    def sums(self, predicted: FloatArray) -> FloatArray:
        """Add up what scores are made of, ``(repeats, participants, 9)``."""
        from pallor.evaluation.bootstrap import participant_sums

        people = int(self.person.max()) + 1
        labels = self.seen.hemoglobin_g_dl
        return np.stack([participant_sums(labels, row, self.person, people) for row in predicted])

    def scores(self, predicted: FloatArray) -> dict[str, Any]:
        """R², r and MAE of ``(repeats, clips)``, each with its interval."""
        from pallor.evaluation.bootstrap import scores_with_intervals

        scores = scores_with_intervals(self.sums(predicted), self.counts)
        return {name: scores[name].as_dict() for name in ("r2", "r", "mae")}

    def share(self, predicted: FloatArray, oracle: FloatArray) -> Interval:
        """R² as a share of the oracle's, resampled together."""
        from pallor.evaluation.bootstrap import SCORES, percentile_interval, resampled_sums

        pair = [self.sums(predicted), self.sums(oracle)]
        mine, best = (SCORES["r2"](s.sum(axis=1)).mean(axis=0) for s in pair)
        drawn = [SCORES["r2"](resampled_sums(self.counts, s)).mean(axis=0) for s in pair]
        return percentile_interval(float(mine / best), drawn[0] / drawn[1])


def ask_oracle(
    settings: Settings,
    *,
    participants: int | None = None,
    sessions: int = 1,
    run: Path | None = None,
    progress: Callable[[int, int, str], None] | None = None,
    command: str = "",
) -> Answer:
    """Score the ideal observers of a simulated cohort.

    Parameters
    ----------
    settings
        What determines the cohort's clips.
    participants, sessions
        As they were given to `simulation.cohort.simulate_cohort`.
    run
        Folder of an evaluation of the cohort: its folds are used and its models measured
        against the oracle. By default the folds are those of ``pallor evaluate``.
    progress
        Called with ``(done, total, what)``.
    command
        Kept with the result.

    Raises
    ------
    UsageError
        If ``run`` is an evaluation of another cohort.
    FeatureTableError
        If ``run`` is not an evaluation, or the cohort is too small for folds.
    """
    from pallor.evaluation.bootstrap import resample_counts
    from pallor.simulation import oracle

    def tell(done: int, what: str) -> None:
        if progress is not None:
            progress(done, 2 + 2 * len(oracle.OBSERVERS), what)

    number = settings.spread.participants if participants is None else participants
    clips = [(index, session) for index in range(number) for session in range(sessions)]
    evaluated = None if run is None else _predictions(run)
    frame = _folds(settings, clips) if evaluated is None else evaluated
    first = frame[frame["repeat"] == frame["repeat"].min()]
    places = [_place(row) for row in first[[PARTICIPANT, SESSION]].itertuples(index=False)]
    if not set(places) <= set(clips):
        raise UsageError(f"{run} has participants or sessions that this cohort does not have")
    tell(0, "the cohort")
    seen = oracle.observe(settings, places)
    measured = first[LABEL].to_numpy(dtype=np.float64)
    if np.abs(measured - seen.hemoglobin_g_dl).max() > 0.005:
        raise UsageError(
            f"{run} is not an evaluation of this cohort, its hemoglobin is another: give the "
            "preset, seed and switches with which the cohort was rendered"
        )
    _, person = np.unique(seen.participant, return_inverse=True)
    bench = _Bench(
        seen,
        _wide(frame, "fold").astype(np.intp),
        resample_counts(int(person.max()) + 1, RESAMPLES, SEED),
        person.astype(np.intp),
    )
    tell(1, "other people")
    others = oracle.observe(settings, [(FIRST_OTHER + i, 0) for i in range(OTHERS)])
    entries, predicted = [], {}
    for done, names in enumerate(oracle.OBSERVERS):
        name = "+".join(names)
        tell(2 + 2 * done, name)
        predicted[name] = _cross_validated(bench, names)
        tell(3 + 2 * done, name)
        taught = oracle.fit_observer(
            others.columns(names), others.hemoglobin_g_dl, others.participant
        )
        entries.append(
            {
                "name": name,
                "cross_validated": bench.scores(predicted[name]),
                "taught_by_others": bench.scores(taught.predict(seen.columns(names))[None]),
            }
        )
    tell(2 + 2 * len(oracle.OBSERVERS), "")
    labels = seen.hemoglobin_g_dl
    return Answer(
        {
            "simulated": True,
            "notice": SIMULATED,
            "command": command,
            "settings": asdict(settings),
            "participants": int(person.max() + 1),
            "clips": len(labels),
            "hemoglobin_g_dl": {"mean": float(labels.mean()), "sd": float(labels.std(ddof=1))},
            "closed_form_r2": _closed_form(settings, labels),
            "other_people": OTHERS,
            "observers": entries,
            "models": []
            if evaluated is None
            else _models(bench, evaluated, predicted[oracle.ORACLE]),
        }
    )


def _closed_form(settings: Settings, labels: FloatArray) -> float:
    from pallor.simulation.oracle import closed_form_r2

    preset = settings.spread
    if not preset.pixels_know_hemoglobin:
        return 0.0
    cv = float(labels.std(ddof=1) / labels.mean())
    return closed_form_r2(preset.blood_cv, cv, preset.coupling)


def _predictions(run: Path) -> pd.DataFrame:
    from pallor.evaluation.result import load_evaluation

    frame = load_evaluation(run).predictions
    missing = {PARTICIPANT, SESSION, LABEL, "repeat", "fold"} - set(frame.columns)
    if missing:
        raise UsageError(
            f"{run}: predictions.csv lacks {', '.join(sorted(missing))}; "
            "give an evaluation of a simulated cohort"
        )
    return frame


def _folds(settings: Settings, clips: list[tuple[int, int]]) -> pd.DataFrame:
    """Divide the cohort as ``pallor evaluate`` does by default."""
    import pandas as pd

    from pallor.cohort.folds import components
    from pallor.evaluation.splits import make_plan
    from pallor.simulation.draw import draw_subject
    from pallor.simulation.truth import participant_name

    table = pd.DataFrame(
        {
            PARTICIPANT: [participant_name(index) for index, _ in clips],
            SESSION: [str(session + 1) for _, session in clips],
            LABEL: [
                draw_subject(settings, index, session).person.hemoglobin_g_dl
                for index, session in clips
            ],
        }
    )
    plan = make_plan(table, components(table))
    parts = [
        table.iloc[split.test].assign(repeat=split.repeat, fold=split.fold) for split in plan.splits
    ]
    return pd.concat(parts).sort_values(["repeat", PARTICIPANT, SESSION])


def _place(row: Any) -> tuple[int, int]:
    """Numbers of participant and session of a row of predictions."""
    participant, session = row
    try:
        return int(str(participant).removeprefix("sim")), int(session) - 1
    except ValueError as error:
        raise UsageError(
            f"participant {participant}, session {session}: not of a simulated cohort"
        ) from error


def _wide(frame: pd.DataFrame, column: str) -> FloatArray:
    """One column of predictions as ``(repeats, clips)``, clips as in the first repeat."""
    wide = frame.set_index([PARTICIPANT, SESSION, "repeat"])[column].unstack("repeat")  # noqa: PD010
    first = frame[frame["repeat"] == frame["repeat"].min()]
    order = list(first[[PARTICIPANT, SESSION]].itertuples(index=False, name=None))
    return wide.loc[order].to_numpy(dtype=np.float64).T


def _cross_validated(bench: _Bench, names: tuple[str, ...]) -> FloatArray:
    from pallor.simulation.oracle import fit_observer

    seen, columns = bench.seen, bench.seen.columns(names)
    predicted = np.full(bench.fold.shape, np.nan)
    for row, fold in zip(predicted, bench.fold, strict=True):
        for number in np.unique(fold):
            test = fold == number
            train = ~test
            fitted = fit_observer(
                columns[train], seen.hemoglobin_g_dl[train], seen.participant[train]
            )
            row[test] = fitted.predict(columns[test])
    return predicted


def _models(bench: _Bench, frame: pd.DataFrame, oracle: FloatArray) -> list[dict[str, Any]]:
    names = [name for name in frame.columns if ":" in name]
    predicted = {name: _wide(frame, name) for name in names}
    return [
        {
            "name": name,
            **bench.scores(values),
            "share_of_oracle_r2": bench.share(values, oracle).as_dict(),
        }
        for name, values in predicted.items()
        if np.isfinite(values).all()
    ]


def print_oracle(answer: Answer) -> None:
    """Print what the observers reach, and what a run reached of it, to stdout."""
    from rich.table import Table

    from pallor.simulation.oracle import ORACLE

    metrics = answer.metrics
    people = f"{metrics['participants']} participants, {metrics['clips']} clips"
    shown = Table(title=f"SIMULATED: what an ideal observer sees; {people}")
    for column in ("observer of", "R²", "MAE g/dL", f"R², taught by {metrics['other_people']}"):
        shown.add_column(column)
    for entry in metrics["observers"]:
        own, others = entry["cross_validated"], entry["taught_by_others"]
        shown.add_row(entry["name"], *map(score_cell, (own["r2"], own["mae"], others["r2"])))
    console().print(shown)
    console().print(f"closed form, one tissue: R² at most {metrics['closed_form_r2']:.2f}")
    if not metrics["models"]:
        return
    reached = Table(title=f"SIMULATED: what the evaluation reached of R² of {ORACLE}, same folds")
    for column in ("model", "R²", "MAE g/dL", "share"):
        reached.add_column(column)
    for entry in metrics["models"]:
        scores = (entry["r2"], entry["mae"], entry["share_of_oracle_r2"])
        reached.add_row(entry["name"], *map(score_cell, scores))
    console().print(reached)
