from __future__ import annotations

import numpy as np
import pytest

from pallor.features.beats import AverageBeat, Beats, average_beat, detect_beats
from pallor.features.hrv import clean_intervals, respiration_per_minute, variability
from pallor.features.morphology import SHAPE_NAMES, beat_shape

FPS = 30.0


def beat_wave(phase):
    # Two waves on a period, systolic at 0.2 and diastolic at 0.5: band-limited enough for 30 Hz.
    def wave(center, width):
        return np.exp((np.cos(2 * np.pi * (phase - center)) - 1) / width**2)

    return wave(0.2, 0.55) + 0.4 * wave(0.52, 0.6)


def pulse_with_beats(onsets, n, fps=FPS):
    return beat_wave(np.interp(np.arange(n) / fps, onsets, np.arange(len(onsets))))


def regular(duration=30.0, period=0.8):
    return np.arange(0, duration + 2 * period, period)


def average(values, period):
    return AverageBeat(np.asarray(values), period, 10, 1.0)


def test_every_beat_is_found_and_at_its_time():
    pulse = pulse_with_beats(regular(), 900)
    beats = detect_beats(pulse, FPS, 1.25)
    # Complete beats only: 30 s / 0.8 s is 37.5.
    assert 34 <= len(beats.peak_s) <= 37
    assert len(beats.cut_s) == len(beats.peak_s) + 1
    assert (beats.cut_s[:-1] < beats.peak_s).all()
    assert (beats.peak_s < beats.cut_s[1:]).all()
    np.testing.assert_allclose(np.diff(beats.peak_s)[2:-2], 0.8, atol=0.004)


def test_interval_variability_is_followed():
    rng = np.random.default_rng(0)
    t = np.arange(80)
    intervals = 0.8 + 0.05 * np.sin(2 * np.pi * 0.2 * t) + 0.01 * rng.standard_normal(80)
    onsets = np.concatenate(([0], np.cumsum(intervals)))
    beats = detect_beats(pulse_with_beats(onsets, 1800), FPS, 1.25)
    # Peak i lies at phase 0.2 of a beat, so the interval between peaks mixes two neighbors.
    peaks = np.interp(np.arange(80) + 0.2, np.arange(81), onsets)
    nearest = np.abs(beats.peak_s[:, None] - peaks).argmin(axis=1)
    assert (np.diff(nearest) == 1).all()
    found, truth = np.diff(beats.peak_s), np.diff(peaks[nearest])
    assert np.std(found - truth) < 0.01
    assert variability(beats.peak_s)["sdnn"] == pytest.approx(np.std(truth, ddof=1), rel=0.1)


def test_nothing_is_found_in_nothing():
    for pulse in (np.zeros(900), np.full(900, np.nan), np.zeros(10)):
        beats = detect_beats(pulse, FPS, 1.2)
        assert len(beats.peak_s) == 0
        assert average_beat(pulse, FPS, beats) is None
    assert len(detect_beats(np.ones(900), FPS, float("nan")).peak_s) == 0


def test_the_average_has_the_shape_of_the_beat():
    pulse = pulse_with_beats(regular(), 900)
    beat = average_beat(pulse, FPS, detect_beats(pulse, FPS, 1.25))
    assert beat is not None
    assert beat.period_s == pytest.approx(0.8, abs=0.002)
    assert beat.correlation > 0.99
    truth = beat_wave(np.arange(1000) / 1000)
    truth = np.roll(truth, -int(np.argmin(truth)))
    truth = (truth - truth.min()) / np.ptp(truth)
    at = np.linspace(0, 1, len(beat.values), endpoint=False)
    assert np.abs(beat.values - np.interp(at, np.arange(1000) / 1000, truth)).max() < 0.05


def test_averaging_removes_noise_and_says_how_alike_the_beats_are():
    rng = np.random.default_rng(1)
    clean = pulse_with_beats(regular(60), 1800)
    noisy = clean + 0.3 * clean.std() * rng.standard_normal(1800)
    reference = average_beat(clean, FPS, detect_beats(clean, FPS, 1.25))
    beat = average_beat(noisy, FPS, detect_beats(noisy, FPS, 1.25))
    assert beat is not None
    assert reference is not None
    assert beat.beats > 60
    assert 0.8 < beat.correlation < reference.correlation
    m = min(len(beat.values), len(reference.values))
    assert np.abs(beat.values[:m] - reference.values[:m]).max() < 0.15


def test_an_odd_beat_does_not_enter_the_average():
    pulse = pulse_with_beats(regular(), 900)
    beats = detect_beats(pulse, FPS, 1.25)
    clean = average_beat(pulse, FPS, beats)
    spoiled = pulse.copy()
    spoiled[300:324] = spoiled[300:324][::-1] * 5  # one beat backwards, five times as high
    beat = average_beat(spoiled, FPS, beats)
    assert clean is not None
    assert beat is not None
    assert beat.beats < clean.beats
    m = min(len(beat.values), len(clean.values))
    assert np.abs(beat.values[:m] - clean.values[:m]).max() < 0.05


def test_too_few_beats_have_no_average():
    pulse = pulse_with_beats(regular(), 900)
    beats = detect_beats(pulse, FPS, 1.25)
    assert average_beat(pulse, FPS, Beats(beats.peak_s[:3], beats.cut_s[:4])) is None


# --- shape ---


def test_shape_of_a_triangle_in_closed_form():
    # Rise in 0.2 s, fall in 0.6 s.
    m = 800
    t = np.arange(m) / 1000
    shape = beat_shape(average(np.where(t < 0.2, t / 0.2, (0.8 - t) / 0.6), 0.8))
    assert shape["crest_time"] == pytest.approx(0.2, abs=0.002)
    assert shape["decay_time"] == pytest.approx(0.6, abs=0.002)
    assert shape["crest_fraction"] == pytest.approx(0.25, abs=0.002)
    for percent in (10, 25, 33, 50, 66, 75):
        assert shape[f"width_{percent}"] == pytest.approx(0.8 * (1 - percent / 100), abs=0.002)
    assert shape["area"] == pytest.approx(0.4, abs=0.001)
    assert shape["area_before_peak"] == pytest.approx(0.1, abs=0.001)
    assert shape["area_after_peak"] == pytest.approx(0.3, abs=0.001)
    # Triangular distribution a=0, c=0.2, b=0.8.
    a, b, c = 0.0, 0.8, 0.2
    spread = a * a + b * b + c * c - a * b - a * c - b * c
    skewness = np.sqrt(2) * (a + b - 2 * c) * (2 * a - b - c) * (a - 2 * b + c) / (5 * spread**1.5)
    assert shape["skewness"] == pytest.approx(skewness, abs=0.005)
    assert shape["kurtosis"] == pytest.approx(2.4, abs=0.01)
    # No notch: what hangs on it is undefined, not zero.
    for name in ("notch_time", "notch_height", "reflection_index", "reflection_delay", "ipa"):
        assert np.isnan(shape[name])


def test_a_notch_is_found_where_it_is():
    t = np.arange(1000) / 1000
    y = np.exp(-(((t - 0.2) / 0.07) ** 2)) + 0.5 * np.exp(-(((t - 0.5) / 0.08) ** 2))
    y = y - y.min()
    shape = beat_shape(average(y / y.max(), 1.0))
    between = slice(200, 500)
    notch = 200 + int(np.argmin(y[between]))
    assert shape["notch_time"] == pytest.approx(notch / 1000, abs=0.002)
    assert shape["notch_height"] == pytest.approx(y[notch] / y.max(), abs=0.002)
    assert shape["reflection_index"] == pytest.approx(0.5, abs=0.01)
    assert shape["reflection_delay"] == pytest.approx(0.3, abs=0.002)
    first, second = y[: notch + 1].sum(), y[notch:].sum()
    assert shape["ipa"] == pytest.approx(second / first, rel=0.01)


def test_derivatives_of_a_cosine_in_closed_form():
    t = np.arange(1000) / 1000
    shape = beat_shape(average(0.5 - 0.5 * np.cos(2 * np.pi * t), 1.0))
    assert shape["rise_slope"] == pytest.approx(np.pi, rel=1e-3)
    assert shape["decay_slope"] == pytest.approx(-np.pi, rel=1e-3)
    assert shape["vpg_y_w"] == pytest.approx(-1.0, rel=1e-3)
    assert shape["apg_b_a"] == pytest.approx(-1.0, rel=1e-3)
    assert np.isnan(shape["apg_aging_index"])


def test_shape_does_not_depend_on_the_sampling_of_the_beat():
    coarse = beat_wave(np.arange(200) / 200 - 0.1)
    fine = beat_wave(np.arange(2000) / 2000 - 0.1)
    pair = []
    for y in (coarse, fine):
        y = np.roll(y, -int(np.argmin(y)))
        pair.append(beat_shape(average((y - y.min()) / np.ptp(y), 0.8)))
    for name in SHAPE_NAMES:
        if np.isfinite(pair[1][name]):
            assert pair[0][name] == pytest.approx(pair[1][name], rel=0.03, abs=0.005), name


def test_no_beat_has_no_shape_but_all_names():
    shape = beat_shape(None)
    assert tuple(shape) == SHAPE_NAMES
    assert np.isnan(list(shape.values())).all()
    falling = beat_shape(average(np.linspace(1, 0, 100), 0.8))
    assert tuple(falling) == SHAPE_NAMES
    assert np.isnan(list(falling.values())).all()


# --- variability and respiration ---


def test_variability_in_closed_form():
    intervals = np.tile([0.8, 0.9], 20)
    values = variability(np.concatenate(([0], np.cumsum(intervals))))
    assert values["sdnn"] == pytest.approx(np.std(intervals, ddof=1))
    assert values["rmssd"] == pytest.approx(0.1)
    assert values["pnn50"] == 1.0


def test_a_missed_beat_does_not_count_as_variability():
    peaks = np.delete(np.arange(40) * 0.8, 20)
    assert np.isnan(clean_intervals(peaks)).sum() == 1
    assert variability(peaks)["sdnn"] == pytest.approx(0.0, abs=1e-9)
    assert np.isnan(variability(np.arange(10) * 0.8)["sdnn"])
    assert np.isnan(variability(np.empty(0))["rmssd"])
    ragged = np.cumsum(np.where(np.arange(60) % 3 == 0, 1.6, 0.8))
    assert np.isnan(variability(ragged)["sdnn"])


def test_respiration_is_found_where_its_three_signs_agree():
    n = 1800
    t = np.arange(n) / FPS
    breath = np.sin(2 * np.pi * 0.25 * t)
    phase = np.cumsum(1.2 + 0.05 * breath) / FPS
    pulse = np.cos(2 * np.pi * phase) * (1 + 0.2 * breath)
    intensity = 100 + breath
    beats = detect_beats(pulse, FPS, 1.2)
    rate = respiration_per_minute(pulse, intensity, FPS, beats.peak_s)
    assert rate == pytest.approx(15, abs=0.7)
    other = 100 + np.sin(2 * np.pi * 0.45 * t)
    assert np.isnan(respiration_per_minute(pulse, other, FPS, beats.peak_s))
    assert np.isnan(respiration_per_minute(pulse, intensity, FPS, beats.peak_s[:5]))
