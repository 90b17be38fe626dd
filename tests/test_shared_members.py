from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

from pallor.evaluation.fitting import out_of_fold
from pallor.evaluation.part_store import PartStore
from pallor.evaluation.splits import make_plan
from pallor.evaluation.task import Explained, Spec, Task, fused_regressor, seed_of
from pallor.models.fusion import FusedRegressor
from pallor.models.preprocessing import DEMOGRAPHIC_COLUMNS

LEARNERS = ("random_forest", "ridge", "chromophore", "pls")
PEOPLE, CLIPS = 40, 2


def _features(seed: int = 0) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    person = np.repeat(np.arange(PEOPLE), CLIPS)
    male = rng.integers(0, 2, PEOPLE)[person]
    y = 13.0 + 1.5 * male + rng.normal(0, 1.2, PEOPLE)[person]
    color = rng.normal(0, 1, (len(y), 12)) + 0.5 * (y - y.mean())[:, None]
    pulse = rng.normal(0, 1, (len(y), 8)) + 0.3 * male[:, None]
    pulse[3, 2] = np.nan
    names = [f"color.lips.{q}.mean" for q in ("log_rg", "log_gb")]
    names += [f"color.chin.x{i}.p50" for i in range(10)]
    names += [f"pulse.face.y{i}.value" for i in range(8)]
    table = pd.DataFrame(np.hstack([color, pulse]), columns=names)
    for name in DEMOGRAPHIC_COLUMNS:
        table[name] = male.astype(float) if "male" in name or "sex" in name else 40.0 + person
    return table, y, person


def _task(specs: list[tuple[tuple[str, ...], tuple[str, ...]]], **changes: object) -> Task:
    table, y, person = _features()
    cohort = pd.DataFrame({"hemoglobin_g_dl": y})
    made = tuple(
        Spec(
            modalities,
            "+".join(learners),
            learners,
            tuple(c for c in table.columns if c.split(".")[0] in modalities),
        )
        for modalities, learners in specs
    )
    plan = make_plan(cohort, person, folds=3, repeats=1)
    values = {
        "features": table, "outcome": y, "components": person, "inner_groups": person,
        "plan": plan, "specs": made, "factory": fused_regressor, "seed": 4, "quick": True,
    }  # fmt: skip
    return Task(**(values | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "modalities",
    [
        ("color",),
        ("color", "pulse"),
        ("demographics", "color", "pulse"),
        ("demographics", "pulse"),
        ("demographics",),
    ],
)
@pytest.mark.parametrize("learners", [LEARNERS, ("ridge",)])
def test_shared_members_give_what_the_regressor_gives(modalities, learners):
    task = _task([(modalities, learners)])
    spec = task.specs[0]
    shared = out_of_fold(task)
    for number, split in enumerate(task.plan.splits):
        model = FusedRegressor(modalities, learners, seed=seed_of(4, split), quick=True)
        X = task.features[list(spec.columns)]
        model.fit(X.iloc[split.train], task.outcome[split.train], task.components[split.train])
        predicted = model.predict(X.iloc[split.test])
        assert np.allclose(predicted, shared.predicted[spec.name][0, split.test], atol=1e-9)
        rows, residuals = shared.residuals[spec.name][number]
        own = task.outcome[split.train] - model.oof_prediction_
        assert np.allclose(residuals[np.argsort(rows)], own[np.argsort(split.train)], atol=1e-9)
        weights = dict(zip(model.member_names_, model.weights_, strict=True))
        assert shared.weights[spec.name][number] == pytest.approx(weights)


def test_many_models_at_once_are_the_same_as_each_by_itself():
    # All tables hold the same columns, so that the order of the rows is the same.
    pairs = [
        (("color", "pulse"), LEARNERS),
        (("color", "pulse"), ("random_forest",)),
        (("color",), LEARNERS),
        (("pulse",), ("ridge",)),
    ]
    together = out_of_fold(_task(pairs))
    for modalities, learners in pairs[:2]:
        alone = out_of_fold(_task([(modalities, learners)]))
        name = next(iter(alone.predicted))
        assert np.allclose(alone.predicted[name], together.predicted[name], atol=1e-12)
    assert len(together.predicted) == 4
    assert not np.allclose(*list(together.predicted.values())[2:])


def test_the_number_of_workers_and_the_order_of_the_rows_do_not_matter():
    pairs = [(("color", "pulse"), LEARNERS), (("demographics", "color"), ("ridge",))]
    task = _task(pairs)
    one, two = out_of_fold(task), out_of_fold(task, workers=2)
    for name in one.predicted:
        assert np.array_equal(one.predicted[name], two.predicted[name])


class Flaky(PartStore):
    """Ends the run after some parts."""

    left = 3

    def put(self, key, said):
        if type(self).left == 0:
            raise KeyboardInterrupt
        type(self).left -= 1
        super().put(key, said)


def test_an_interrupted_run_goes_on_where_it_was(tmp_path, monkeypatch):
    import pallor.evaluation.shared_fitting as shared_fitting

    pairs = [(("color", "pulse"), ("ridge", "pls"))]
    whole = out_of_fold(_task(pairs))
    with pytest.raises(KeyboardInterrupt):
        out_of_fold(_task(pairs, open_store=lambda identity: Flaky(tmp_path, identity)))
    kept = sorted(tmp_path.rglob("*.npz"))
    assert len(kept) == 3
    kept[1].write_bytes(kept[1].read_bytes()[:100])

    computed = []
    original = shared_fitting.members_say
    monkeypatch.setattr(
        shared_fitting,
        "members_say",
        lambda source, *rest: computed.append(source.name) or original(source, *rest),
    )
    again = out_of_fold(_task(pairs, open_store=lambda identity: PartStore(tmp_path, identity)))
    assert len(computed) == 6 - 2
    for name, values in whole.predicted.items():
        assert np.array_equal(values, again.predicted[name])


def test_parts_of_another_evaluation_are_not_taken(tmp_path):
    def store(identity):
        return PartStore(tmp_path, identity)

    pairs = [(("color",), ("ridge",))]
    out_of_fold(_task(pairs, open_store=store))
    task = _task(pairs, open_store=store)
    changed = out_of_fold(_task(pairs, open_store=store, outcome=task.outcome + 1.0))
    fresh = out_of_fold(_task(pairs, outcome=task.outcome + 1.0))
    for name, values in fresh.predicted.items():
        assert np.array_equal(values, changed.predicted[name])
    assert len(list(tmp_path.iterdir())) == 2
    PartStore.clear(tmp_path)
    assert not tmp_path.exists()


@pytest.mark.parametrize("modalities", [("color", "pulse"), ("demographics", "color", "pulse")])
def test_the_shared_explanation_is_that_of_the_fitted_model(modalities, tmp_path):
    from pallor.evaluation.fold_explanation import explain_fold

    learners = ("ridge", "xgboost", "chromophore")
    task = _task([(modalities, learners)])
    unit = task.components
    task = dataclasses.replace(task, explained=Explained(task.specs[0], unit))
    stored = dataclasses.replace(task, open_store=lambda name: PartStore(tmp_path, name))
    found = [out_of_fold(task).explanations]
    found += [out_of_fold(stored).explanations for _ in range(2)]  # kept, then read back
    spec = task.specs[0]
    for number, split in enumerate(task.plan.splits):
        seed = seed_of(4, split)
        model = FusedRegressor(modalities, learners, seed=seed, quick=True)
        X = task.features[list(spec.columns)]
        model.fit(X.iloc[split.train], task.outcome[split.train], task.components[split.train])
        test = split.test
        own = explain_fold(
            model, X.iloc[test], task.outcome[test], task.components[test], unit=unit[test],
            seed=seed, rounds=5,
        )  # fmt: skip
        for explanations in found:
            shared = explanations[number]
            assert [one.group for one in shared.importance] == [x.group for x in own.importance]
            for one, other in zip(shared.importance, own.importance, strict=True):
                assert one.increase_mse == pytest.approx(other.increase_mse, abs=1e-9)
            assert [one.name for one in shared.contributions] == [
                one.name for one in own.contributions
            ]


def test_nothing_is_explained_unless_asked_and_only_in_the_first_repeat():
    task = _task([(("color",), ("ridge",))])
    assert out_of_fold(task).explanations == []
    plan = make_plan(
        pd.DataFrame({"hemoglobin_g_dl": task.outcome}), task.components, folds=3, repeats=2
    )
    explained = Explained(task.specs[0], task.components)
    both = dataclasses.replace(task, plan=plan, explained=explained)
    assert len(out_of_fold(both).explanations) == 3
