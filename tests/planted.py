"""Cohorts with planted signals and leaks, and cheap models to evaluate on them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from pallor.evaluation.protocol import evaluate


class Ridge:
    """A cheap model: least squares on sex and age where given, then ridge on the rest.

    The strength of the ridge is chosen inside the training part.
    """

    def __init__(self, modalities, learners, seed, quick):
        self.asked = (modalities, learners, seed, quick)

    def parts(self, X):
        known = [name.startswith("demographics.") for name in X.columns]
        values = np.nan_to_num(X.to_numpy(float))
        return values[:, known], values[:, ~np.array(known)]

    def fit(self, X, y, groups):
        from sklearn.dummy import DummyRegressor
        from sklearn.linear_model import LinearRegression, RidgeCV
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        assert len(groups) == len(X) == len(y)
        self.columns = list(X.columns)
        known, rest = self.parts(X)
        self.base = (LinearRegression() if known.size else DummyRegressor()).fit(known, y)
        left = y - self.base.predict(known)
        ridge = make_pipeline(StandardScaler(), RidgeCV(np.logspace(0, 5, 6)))
        self.ridge = ridge.fit(rest, left) if rest.size else None
        return self

    def predict(self, X):
        assert list(X.columns) == self.columns
        known, rest = self.parts(X)
        added = 0.0 if self.ridge is None else self.ridge.predict(rest)
        return self.base.predict(known) + added


class Nearest:
    """Remembers its training clips: perfect wherever one of them leaks."""

    def __init__(self, modalities, learners, seed, quick):
        pass

    def fit(self, X, y, groups):
        assert len(groups) == len(X)
        from sklearn.neighbors import KNeighborsRegressor

        self.model = KNeighborsRegressor(1).fit(X.to_numpy(float), y)

    def predict(self, X):
        return self.model.predict(X.to_numpy(float))


def features(people=60, clips=2, signal=1.0, seed=0):
    """A cohort in which color sees hemoglobin with noise and pulse with more."""
    rng = np.random.default_rng(seed)
    male, years = rng.integers(0, 2, people), rng.uniform(18, 80, people)
    hb = 13.0 + 1.8 * male + rng.normal(0, 1.0, people)
    person = np.repeat(np.arange(people), clips)
    n = len(person)
    columns = {
        "color.lips.log_rg.mean": signal * (hb[person] - 14) + rng.normal(0, 0.6, n),
        "color.chin.log_rg.mean": rng.normal(0, 1, n),
        "pulse.forehead.green.ac_dc": signal * (hb[person] - 14) + rng.normal(0, 1.2, n),
        "pulse.chin.green.ac_dc": rng.normal(0, 1, n),
    }
    table = pd.DataFrame(
        {
            "participant_id": [f"p{i:03d}" for i in person],
            "clip": [f"{i}.mp4" for i in range(n)],
            "session": "s1",
            "site": np.array(["A", "B"])[person % 2],
            "sex": np.where(male, "male", "female")[person],
            "age_years": years[person],
            "hemoglobin_g_dl": hb[person],
            "simulated": False,
            "file_sha256": [f"f{i}" for i in range(n)],
            "content_sha256": [f"c{i}" for i in range(n)],
        }
    )
    return pd.concat([table, pd.DataFrame(columns).astype(np.float32)], axis=1)


def cheap(table, **options):
    options = {"model_factory": Ridge, "regressors": ["stacking"], "bootstrap": 200, **options}
    return evaluate(table, **options)


def by_name(found):
    return {entry["name"]: entry for entry in found}
