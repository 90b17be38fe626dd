from __future__ import annotations

import numpy as np
import pytest

from pallor.simulation.draw import draw, draw_subject, sex_of
from pallor.simulation.physiology import (
    SESSION_CHANGE_G_DL,
    draw_hemoglobin,
    mean_hemoglobin_g_dl,
)
from pallor.simulation.presets import PRESETS
from pallor.simulation.pulse import draw_pulse, pulse_shape
from pallor.simulation.rendering import tissue_volumes
from pallor.simulation.settings import Settings


@pytest.mark.parametrize("sex", ["female", "male"])
def test_hemoglobin_has_the_mean_of_the_sex_less_the_anemic_tail(sex: str) -> None:
    rng = np.random.default_rng(0)
    values = np.array([draw_hemoglobin(rng, sex) for _ in range(4000)])
    expected = {"male": 15.0, "female": 13.4}[sex] - 0.15 * 1.6
    assert values.mean() == pytest.approx(expected, abs=0.1)
    assert values.min() >= 5
    assert values.max() <= 19


def test_old_men_have_less_hemoglobin_and_old_women_have_not() -> None:
    assert mean_hemoglobin_g_dl("female", 80.0) == mean_hemoglobin_g_dl("female", 30.0)
    assert mean_hemoglobin_g_dl("male", 50.0) == mean_hemoglobin_g_dl("male", 20.0)
    assert mean_hemoglobin_g_dl("male", 70.0) == pytest.approx(14.5)
    drawn = [draw_hemoglobin(np.random.default_rng(1), "male", age) for age in (40.0, 75.0)]
    assert drawn[0] - drawn[1] == pytest.approx(0.625)


def test_anemia_constricts_vessels_and_quickens_the_heart() -> None:
    people = [draw_subject(Settings("easy", seed=5), index).person for index in range(400)]
    hemoglobin = np.array([person.hemoglobin_g_dl for person in people])
    blood = np.log([person.tissues["skin"].blood for person in people])
    rate = np.array([person.heart_rate_bpm for person in people])
    women = np.array([person.sex == "female" for person in people])
    slope = np.polyfit(np.log(hemoglobin[women]), blood[women], 1)[0]
    assert slope == pytest.approx(PRESETS["easy"].coupling, abs=0.15)
    assert rate[hemoglobin < 10].mean() > rate[hemoglobin > 12].mean() + 3


def test_sessions_change_the_blood_but_not_the_person() -> None:
    settings = Settings("paper", seed=4)
    visits = [[draw_subject(settings, i, session) for session in range(4)] for i in range(150)]
    for subjects in visits:
        first = subjects[0]
        for subject in subjects[1:]:
            assert subject.person.sex == first.person.sex
            assert subject.person.tissues["skin"].melanin == first.person.tissues["skin"].melanin
            assert subject.looks.scale == first.looks.scale
            assert subject.camera.sensor == first.camera.sensor
            assert subject.person.tissues["skin"].blood != first.person.tissues["skin"].blood
            assert subject.camera.white_balance_error != first.camera.white_balance_error
    labels = np.array([[s.person.hemoglobin_g_dl for s in subjects] for subjects in visits])
    change = labels[:, 1:] - labels[:, :1]
    # In the long run SESSION_CHANGE_G_DL; the first change is by a fresh 80 % of it.
    assert change[:, 0].std() == pytest.approx(0.8 * SESSION_CHANGE_G_DL, rel=0.2)
    assert change[:, 2].std() == pytest.approx(SESSION_CHANGE_G_DL, rel=0.2)
    assert np.corrcoef(change[:, 0], change[:, 1])[0, 1] > 0.4
    between = np.corrcoef(labels[:, 0], labels[:, 3])[0, 1]
    assert 0.4 < between < 0.95


def test_a_session_does_not_depend_on_how_many_there_are() -> None:
    settings = Settings("realistic", seed=4)
    one, again = draw(settings, 3, 2), draw(settings, 3, 2)
    assert one.subject.person == again.subject.person
    assert np.array_equal(one.pulse.volume, again.pulse.volume)
    assert one.subject.person != draw(settings, 3, 1).subject.person


def test_sexes_are_balanced_and_not_told_by_the_number() -> None:
    sexes = np.array([sex_of(0, index) for index in range(400)])
    assert (sexes == "male").sum() == 200
    assert 60 < (sexes[::2] == "male").sum() < 140


def test_presets_share_their_draws() -> None:
    people = [draw_subject(Settings(name, seed=3), 7).person for name in PRESETS]
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
    assert pulse.heart_rate_bpm == pytest.approx(drawn.subject.person.heart_rate_bpm, rel=0.03)
    assert np.all(np.diff(pulse.phase) > 0)


def test_lips_pulse_later_than_skin() -> None:
    drawn = draw(Settings(seed=1, fps=240.0), 0)
    volumes = tissue_volumes(drawn.subject.person, drawn.pulse)
    lags = np.arange(-12, 13)
    skin, lips = volumes["skin"][50:-50], volumes["lips"]
    match = [float(skin @ lips[50 + lag : len(lips) - 50 + lag]) for lag in lags]
    assert lags[int(np.argmax(match))] / 240 == pytest.approx(0.015, abs=0.005)


def test_one_frame_has_a_pulse_train() -> None:
    drawn = draw(Settings(duration_s=1 / 30), 0)
    train = draw_pulse(np.random.default_rng(0), drawn.subject.person, np.zeros(1))
    assert np.isfinite(train.volume).all()
    assert np.isfinite(train.heart_rate_bpm)
