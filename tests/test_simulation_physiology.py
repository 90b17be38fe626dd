from __future__ import annotations

from collections.abc import Iterable
from functools import cache

import numpy as np
import pytest

from pallor.simulation.cohort import Settings, draw, sex_of
from pallor.simulation.physiology import draw_hemoglobin, draw_pulse, pulse_shape
from pallor.simulation.presets import PRESETS
from pallor.simulation.rendering import albedo, tissue_volumes

PEOPLE = 400


@cache
def colors_and_labels(
    preset: str, *, sex_cue: bool = True
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What a perfect observer of still skin and lips gets: log chromaticities."""
    settings = Settings(preset, seed=5, duration_s=0.1, sex_cue=sex_cue)
    features, labels, men = [], [], []
    for index in range(PEOPLE):
        drawn = draw(settings, index)
        row: list[float] = []
        for name in ("skin", "lips"):
            red, green, blue = drawn.camera.transform() @ albedo(drawn.person)[name]
            row += [float(np.log(red / green)), float(np.log(green / blue))]
        features.append([*row, drawn.person.heart_rate_bpm, drawn.person.volume_pulse])
        labels.append(drawn.person.hemoglobin_g_dl)
        men.append(drawn.person.sex == "male")
    return np.array(features), np.array(labels), np.array(men)


def out_of_fold_r2(columns: Iterable[np.ndarray], y: np.ndarray, folds: int = 5) -> float:
    x = np.column_stack([np.ones(len(y)), *columns])
    predicted = np.empty(len(y))
    for fold in range(folds):
        test = np.arange(len(y)) % folds == fold
        solution, *_ = np.linalg.lstsq(x[~test], y[~test], rcond=None)
        predicted[test] = x[test] @ solution
    return float(1 - ((y - predicted) ** 2).sum() / ((y - y.mean()) ** 2).sum())


def gain_over_sex(preset: str) -> float:
    features, y, men = colors_and_labels(preset)
    sex = men.astype(float)
    return out_of_fold_r2([sex, *features.T], y) - out_of_fold_r2([sex], y)


def test_null_pixels_know_nothing_beyond_sex() -> None:
    features, y, men = colors_and_labels("null")
    for group in (men, ~men):
        for column in features.T:
            r = np.corrcoef(column[group], y[group])[0, 1]
            assert abs(r) < 3.5 / np.sqrt(group.sum())
    assert gain_over_sex("null") < 0.01


def test_null_pixels_still_know_the_sex_unless_told_otherwise() -> None:
    features, _, men = colors_and_labels("null")
    with_cue = abs(np.corrcoef(features[:, 2], men)[0, 1])
    features, _, men = colors_and_labels("null", sex_cue=False)
    # Hemoglobin itself differs by sex and stays visible; the cue adds to it.
    assert with_cue > abs(np.corrcoef(features[:, 2], men)[0, 1]) + 0.1


def test_presets_are_in_order_of_difficulty() -> None:
    easy, paper, realistic = (gain_over_sex(name) for name in ("easy", "paper", "realistic"))
    assert easy > 0.2
    assert easy > paper > realistic
    assert realistic < 0.15


@pytest.mark.parametrize("sex", ["female", "male"])
def test_hemoglobin_has_the_mean_of_the_sex_less_the_anemic_tail(sex: str) -> None:
    rng = np.random.default_rng(0)
    values = np.array([draw_hemoglobin(rng, sex) for _ in range(4000)])
    expected = {"male": 15.0, "female": 13.4}[sex] - 0.15 * 1.6
    assert values.mean() == pytest.approx(expected, abs=0.1)
    assert values.min() >= 5
    assert values.max() <= 19


def test_sexes_are_balanced_and_not_told_by_the_number() -> None:
    sexes = np.array([sex_of(0, index) for index in range(400)])
    assert (sexes == "male").sum() == 200
    assert 60 < (sexes[::2] == "male").sum() < 140


def test_presets_share_their_draws() -> None:
    people = [draw(Settings(name, seed=3), 7).person for name in PRESETS]
    assert len({person.hemoglobin_g_dl for person in people}) == 1
    assert len({person.age_years for person in people}) == 1
    null = people[list(PRESETS).index("null")]
    assert null.rendered_hemoglobin_g_dl != null.hemoglobin_g_dl


def test_pulse_shape_is_a_beat() -> None:
    phase = np.arange(1000) / 1000
    beat = pulse_shape(phase)
    assert beat.mean() == pytest.approx(0, abs=1e-3)
    assert np.ptp(beat) == pytest.approx(1, abs=1e-3)
    assert pulse_shape(phase + 3) == pytest.approx(beat)
    assert phase[beat.argmax()] == pytest.approx(0.2, abs=0.03)


def test_heart_rate_is_that_of_the_beats() -> None:
    drawn = draw(Settings(seed=1, duration_s=60.0), 0)
    pulse = drawn.pulse
    beats = pulse.phase[-1] - pulse.phase[0]
    assert pulse.heart_rate_bpm == pytest.approx(60 * beats / pulse.time_s[-1], rel=1e-6)
    assert pulse.heart_rate_bpm == pytest.approx(drawn.person.heart_rate_bpm, rel=0.03)
    assert np.all(np.diff(pulse.phase) > 0)


def test_lips_pulse_later_than_skin() -> None:
    drawn = draw(Settings(seed=1, fps=240.0), 0)
    volumes = tissue_volumes(drawn.person, drawn.pulse)
    lags = np.arange(-12, 13)
    skin, lips = volumes["skin"][50:-50], volumes["lips"]
    match = [float(skin @ lips[50 + lag : len(lips) - 50 + lag]) for lag in lags]
    assert lags[int(np.argmax(match))] / 240 == pytest.approx(0.015, abs=0.005)


def test_one_frame_has_a_pulse_train() -> None:
    drawn = draw(Settings(duration_s=1 / 30), 0)
    train = draw_pulse(np.random.default_rng(0), drawn.person, np.zeros(1))
    assert np.isfinite(train.volume).all()
    assert np.isfinite(train.heart_rate_bpm)
