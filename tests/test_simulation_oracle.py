from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pallor.simulation.camera import Camera
from pallor.simulation.draw import draw_subject
from pallor.simulation.oracle import (
    OBSERVERS,
    Observations,
    closed_form_r2,
    color_signals,
    fit_observer,
    observe,
    pulse_signals,
)
from pallor.simulation.presets import PRESETS
from pallor.simulation.settings import Settings

PEOPLE = 1200


def people(settings: Settings, number: int = PEOPLE) -> Observations:
    return observe(settings, [(index, 0) for index in range(number)])


def learned_r2(seen: np.ndarray, outcome: np.ndarray) -> float:
    """Taught by the first two thirds, tested on the last."""
    learn = 2 * len(outcome) // 3
    number = np.arange(len(outcome))
    fitted = fit_observer(seen[:learn], outcome[:learn], number[:learn])
    error = outcome[learn:] - fitted.predict(seen[learn:])
    return float(1 - (error**2).mean() / outcome[learn:].var())


@pytest.mark.parametrize(
    ("blood_cv", "hemoglobin_cv", "coupling", "expected"),
    [(0.3, 0.1, 0.0, 0.1), (0.1, 0.1, 0.0, 0.5), (0.2, 0.1, 1.0, 0.5), (0.0, 0.1, 0.3, 1.0)],
)
def test_closed_form(
    blood_cv: float, hemoglobin_cv: float, coupling: float, expected: float
) -> None:
    assert closed_form_r2(blood_cv, hemoglobin_cv, coupling) == pytest.approx(expected)


@pytest.mark.parametrize(("blood_cv", "coupling"), [(0.12, 0.0), (0.12, 0.5), (0.25, 0.3)])
def test_one_tissue_shows_what_the_closed_form_says(
    monkeypatch: pytest.MonkeyPatch, blood_cv: float, coupling: float
) -> None:
    """Where blood volume alone varies, the color of skin reaches the bound and no more."""
    only_blood = replace(
        PRESETS["easy"],
        blood_cv=blood_cv,
        coupling=coupling,
        white_balance_error=0.0,
        melanin_sigma=0.0,
    )
    monkeypatch.setitem(PRESETS, "easy", only_blood)
    seen = people(Settings("easy", seed=8, sex_cue=False), 2400)
    skin = seen.signals["color"][:, :2]
    labels = seen.hemoglobin_g_dl
    bound = closed_form_r2(blood_cv, float(labels.std() / labels.mean()), coupling)
    assert learned_r2(skin, labels) == pytest.approx(bound, abs=0.06)


def test_exposure_and_brightness_tell_the_observer_nothing() -> None:
    subject = draw_subject(Settings("paper", seed=1), 0)
    brighter = replace(subject, camera=replace(subject.camera, exposure=0.7))
    assert color_signals(brighter) == pytest.approx(color_signals(subject))
    assert pulse_signals(brighter) == pytest.approx(pulse_signals(subject))


def test_the_observer_suffers_from_the_white_balance() -> None:
    subject = draw_subject(Settings("easy", seed=1), 0)
    good = replace(subject, camera=Camera())
    off = replace(subject, camera=Camera(white_balance_error=(0.05, 0.0, 0.0)))
    assert color_signals(off)[0] > color_signals(good)[0] + 0.05


def test_null_shows_nothing_beyond_sex() -> None:
    seen = people(Settings("null", seed=5))
    labels = seen.hemoglobin_g_dl
    sex = learned_r2(seen.columns(("sex",)), labels)
    assert learned_r2(seen.columns(("color", "pulse", "sex")), labels) - sex < 0.02
    men = seen.signals["sex"][:, 0] == 1
    for group in (men, ~men):
        for column in np.hstack([seen.signals["color"], seen.signals["pulse"]]).T:
            r = np.corrcoef(column[group], labels[group])[0, 1]
            assert abs(r) < 4 / np.sqrt(group.sum())


def test_null_faces_still_show_the_sex_unless_told_otherwise() -> None:
    def tells(sex_cue: bool) -> float:
        seen = people(Settings("null", seed=5, sex_cue=sex_cue), 900)
        return learned_r2(seen.signals["color"], seen.signals["sex"][:, 0])

    # Hemoglobin itself differs by sex and stays visible; the cue adds to it.
    assert tells(True) > tells(False) + 0.05


@pytest.mark.slow
def test_presets_are_as_hard_as_they_say() -> None:
    reached = {}
    for name in PRESETS:
        seen = people(Settings(name, seed=77), 4000)
        reached[name] = {
            "+".join(names): learned_r2(seen.columns(names), seen.hemoglobin_g_dl)
            for names in OBSERVERS
        }
    assert 0.55 <= reached["paper"]["color+sex"] <= 0.60
    assert reached["easy"]["color+sex"] > 0.7
    assert reached["realistic"]["color+sex"] < reached["realistic"]["sex"] + 0.2
    assert abs(reached["null"]["color+sex"] - reached["null"]["sex"]) < 0.02
    for name in ("easy", "paper", "realistic"):
        scores = reached[name]
        assert scores["sex"] < scores["color+sex"] <= scores["color+pulse+sex"] + 0.01
