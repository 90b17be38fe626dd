"""Out-of-fold predictions of all models of a table from members that are fitted once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pallor._version import __version__
from pallor.evaluation.dissection import Dissection
from pallor.evaluation.fold_explanation import explain
from pallor.evaluation.part_store import PartStore, identity_of
from pallor.evaluation.permutation_importance import donors_of
from pallor.evaluation.places import groups_of
from pallor.evaluation.shared_members import (
    Part,
    Said,
    Source,
    Swaps,
    estimate,
    make_part,
    members_say,
    row_digests,
    sources_of,
)
from pallor.evaluation.splits import Split
from pallor.evaluation.task import (
    Explained,
    FloatArray,
    OutOfFold,
    Task,
    checked,
    in_parallel,
    nothing_yet,
    seed_of,
)
from pallor.models.bundle import library_versions
from pallor.models.preprocessing import (
    DEMOGRAPHIC_COLUMNS,
    DEMOGRAPHICS,
    columns_of,
    matrix,
)


@dataclass(frozen=True)
class _Inputs:
    """What all parts share."""

    sources: dict[str, Source]
    demographics: FloatArray | None
    learners: tuple[str, ...]

    @property
    def arrays(self) -> list[FloatArray]:
        known = [] if self.demographics is None else [self.demographics]
        return [*known, *(source.features for source in self.sources.values())]


def _inputs_of(task: Task) -> _Inputs:
    demographics = None
    if any(DEMOGRAPHICS in spec.modalities for spec in task.specs):
        columns = columns_of(list(task.features.columns), DEMOGRAPHICS)
        demographics = matrix(task.features, columns)
    return _Inputs(
        sources_of(task.features, dict.fromkeys(name for name, _ in task.sources)),
        demographics,
        tuple(dict.fromkeys(name for spec in task.specs for name in spec.learners)),
    )


def _store_of(task: Task, inputs: _Inputs, parts: Sequence[Part]) -> PartStore | None:
    if task.open_store is None:
        return None
    positions = [array for part in parts for array in (part.train, part.test)]
    folds = [test for part in parts for _, test in part.folds]
    words = (
        *inputs.sources, *(name for source in inputs.sources.values() for name in source.columns),
        *inputs.learners, *(str(part.seed) for part in parts), str(task.quick),
        str(task.explained and (task.explained.spec.name, task.explained.rounds)),
        __version__, str(library_versions()),
    )  # fmt: skip
    arrays = [task.outcome, task.components, *inputs.arrays, *positions, *folds]
    return task.open_store(identity_of(arrays, words))


def fit_shared(task: Task, workers: int, done: Callable[[str], None]) -> OutOfFold:
    """Fit every member once a split, and join them to every model.

    Parameters
    ----------
    task
        Of the default models.
    workers
        Processes; the result does not depend on their number.
    done
        Called with a label after each modality of each split.

    Raises
    ------
    FeatureTableError
        If a model gives something else than finite numbers.
    """
    inputs = _inputs_of(task)
    digests = row_digests(np.column_stack([task.outcome, *inputs.arrays]))
    parts = [
        make_part(
            split, digests, task.outcome, task.components, task.inner_groups,
            seed_of(task.seed, split),
        )
        for split in task.plan.splits
    ]  # fmt: skip
    result = nothing_yet(task)
    for spec in task.specs:
        result.residuals[spec.name], result.weights[spec.name] = [], []
    spoken = _all_say(task, inputs, parts, workers)
    for part, split in zip(parts, task.plan.splits, strict=True):
        said = {}
        for name, known in task.sources:
            said[name, known] = next(spoken)
            done(f"{name}{', sex and age taken out' if known else ''} without {split.label}")
        _estimate_all(task, inputs, part, split, said, result)
    return result


def _all_say(task: Task, inputs: _Inputs, parts: Sequence[Part], workers: int) -> Iterator[Said]:
    """Yield what every modality's members say, split by split; from disk where it is known."""
    store = _store_of(task, inputs, parts)
    keys = [(i, name, known) for i in range(len(parts)) for name, known in task.sources]
    kept = {
        key: said
        for key in keys
        if store and (said := store.get(_file_of(key), inputs.sources[key[1]]))
    }
    calls = [
        (
            members_say,
            (
                inputs.sources[name], inputs.demographics if known else None, task.outcome,
                parts[i], inputs.learners, task.quick,
                _swaps(task, inputs, parts[i], task.plan.splits[i])
                if _belongs(task.explained, name, known) else None,
            ),
        )
        for i, name, known in keys
        if (i, name, known) not in kept
    ]  # fmt: skip
    computed = iter(in_parallel(calls, workers))
    for key in keys:
        if key in kept:
            yield kept.pop(key)
            continue
        said = next(computed)
        if store is not None:
            store.put(_file_of(key), said)
        yield said


def _belongs(explained: Explained | None, name: str, known: bool) -> bool:
    """Whether members of a modality are among those that are explained."""
    if explained is None:
        return False
    modalities = explained.spec.modalities
    return name in modalities and known == (DEMOGRAPHICS in modalities)


def _swaps(task: Task, inputs: _Inputs, part: Part, split: Split) -> Swaps | None:
    """Settle what is swapped in a test part for the explanation; None for nothing."""
    if task.explained is None or split.repeat > 0:
        return None
    columns = {
        name: inputs.sources[name].columns
        for name in task.explained.spec.modalities
        if name != DEMOGRAPHICS
    }
    if DEMOGRAPHICS in task.explained.spec.modalities:
        columns = {DEMOGRAPHICS: DEMOGRAPHIC_COLUMNS, **columns}
    donors = donors_of(task.components[part.test], part.seed, task.explained.rounds)
    return Swaps(groups_of(columns), donors)


def _file_of(key: tuple[int, str, bool]) -> str:
    split, name, known = key
    return f"{split:05d}-{name}{'-known' if known else ''}"


def _estimate_all(
    task: Task,
    inputs: _Inputs,
    part: Part,
    split: Split,
    said: Mapping[tuple[str, bool], Said],
    result: OutOfFold,
) -> None:
    """Join every model of one split and put down what it says."""
    swaps = _swaps(task, inputs, part, split)
    for spec in task.specs:
        known = DEMOGRAPHICS in spec.modalities
        of_model = {name: said[name, known] for name in spec.modalities if name != DEMOGRAPHICS}
        estimated = estimate(
            of_model, spec.learners, inputs.demographics if known else None, task.outcome, part
        )
        predicted = checked(estimated.predicted, spec, split)
        result.predicted[spec.name][split.repeat, split.test] = predicted
        result.residuals[spec.name].append((part.train, estimated.residuals))
        result.weights[spec.name].append(estimated.weights)
        if swaps is not None and task.explained is not None and spec == task.explained.spec:
            effects = [one.effects for one in of_model.values() if one.effects is not None]
            parts = Dissection(estimated.offset, effects, estimated.weights)
            unit = task.explained.unit[part.test]
            result.explanations.append(
                explain(parts, swaps.groups, task.outcome[part.test], swaps.donors, unit)
            )
