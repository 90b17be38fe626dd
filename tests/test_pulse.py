from __future__ import annotations

import numpy as np
import pytest

from pallor.features.filters import bandpass
from pallor.features.heart_rate import PulseSignal, pulse_from_traces
from pallor.features.lockin import LockIn
from pallor.features.pulse import MODALITY, PLACES, compute, measure_amplitudes, place_colors
from pallor.features.registry import match_doc
from pallor.video.recording import InputKind, Recording
from pallor.video.traces import Traces

REGIONS = ("forehead", "left_cheek", "right_cheek", "nose", "chin", "lips", "background")
DC = np.array([170.0, 120.0, 105.0])
SIGNATURE = np.array([0.0033, 0.0077, 0.0053])


def wave(t, f0=1.25):
    return np.cos(2 * np.pi * f0 * t) + 0.3 * np.cos(4 * np.pi * f0 * t + 0.7)


def colored(rng, shape, n):
    freq = np.fft.rfftfreq(n)
    gain = np.zeros_like(freq)
    gain[1:] = freq[1:] ** -0.5
    z = rng.standard_normal((*shape, len(freq))) + 1j * rng.standard_normal((*shape, len(freq)))
    x = np.fft.irfft(z * gain, n)
    return x / x.std(axis=-1, keepdims=True)


def make_traces(
    *, duration=20.0, fps=30.0, noise=0.002, pulse=1.0, seed=0, lag=None, t=None, shift=0.0, dc=DC
):
    """Skin that reflects less when the blood volume `wave` rises; encoded values."""
    rng = np.random.default_rng(seed)
    t = np.arange(int(duration * fps)) / fps if t is None else t
    n = len(t)
    rgb = np.empty((n, len(REGIONS), 3))
    for i, name in enumerate(REGIONS):
        strength = 0.0 if name == "background" else pulse
        volume = wave(t - (lag or {}).get(name, 0.0) - shift)
        color = 1 - strength * SIGNATURE * volume[:, None]
        rgb[:, i] = dc * (color + noise * colored(rng, (3,), n).T)
    return Traces(
        REGIONS,
        t,
        rgb.astype(np.float32),
        np.ones((n, len(REGIONS)), np.float32),
        np.tile(np.float32([320, 240]), (n, 1)),
        np.full(n, 80, np.float32),
    )


def make_recording(traces):
    n = len(traces.time_s)
    end = float(traces.time_s[-1]) if n else 0.0
    return Recording("clip.mp4", InputKind.FACE_VIDEO, False, n, end, 30.0, 1.0, traces, (), "", "")


def true_ac_dc():
    # 2 sqrt(2) times the RMS of the wave, times the local exponent of the sRGB curve.
    u = DC / 255
    return 2 * np.sqrt(2) * np.sqrt(0.5 * (1 + 0.3**2)) * SIGNATURE * 2.4 * u / (u + 0.055)


def amplitudes(traces):
    signal = pulse_from_traces(traces)
    # Locked at the true rate, whether or not the pulse is significant: a test of the
    # amplitude must not select the clips in which noise happened to add to it.
    lock = LockIn(len(signal.time_s), signal.fps, 1.25)
    return signal, measure_amplitudes(signal, place_colors(traces, signal), lock)


def names_of(recording):
    return tuple(compute(recording))


# --- amplitudes ---


def test_amplitudes_of_a_clean_pulse_are_exact():
    # The median of the trace is not quite its mean, for the wave is not symmetric.
    features = compute(make_recording(make_traces(noise=1e-5)))
    for i, channel in enumerate(("red", "green", "blue")):
        for place in PLACES:
            value = features[f"pulse.{place}.{channel}.ac_dc"]
            expected = 0.0 if place == "background" else true_ac_dc()[i]
            assert value == pytest.approx(expected, rel=0.01, abs=1e-5), (place, channel)
    assert features["pulse.face.ror_rg.value"] == pytest.approx(
        true_ac_dc()[0] / true_ac_dc()[1], rel=0.01
    )
    assert features["pulse.face.ror_rg.log"] == pytest.approx(
        np.log(features["pulse.face.ror_rg.value"])
    )
    assert features["pulse.lips.green.dc"] == pytest.approx(
        ((120 / 255 + 0.055) / 1.055) ** 2.4, rel=0.01
    )
    assert features["pulse.face.heart_rate.value"] == pytest.approx(75, abs=0.2)


def z_scores(noise, seeds, duration=20.0):
    scores = {place: [] for place in PLACES}
    for seed in range(seeds):
        # Any phase of the beat, so that the truth is the mean over phases.
        traces = make_traces(noise=noise, seed=seed, duration=duration, shift=0.137 * seed)
        _, measured = amplitudes(traces)
        for place, a in measured.items():
            truth = 0.0 if place == "background" else true_ac_dc()
            scores[place].append((a.ac_dc - truth) / a.se)
    return {place: np.ravel(z) for place, z in scores.items()}


def test_errors_are_as_large_as_stated():
    scores = z_scores(0.004, 60)
    for place, z in scores.items():
        assert np.isfinite(z).all()
        # 180 scores a place; t-distributed with some tens of degrees of freedom.
        assert abs(z.mean()) < 0.3, place
        assert 0.8 < z.std() < 1.25, place


def test_amplitudes_have_no_bias_at_low_snr_where_a_standard_deviation_has():
    truth = true_ac_dc()[1]
    locked, naive, se = [], [], []
    for seed in range(60):
        traces = make_traces(noise=0.012, seed=seed, shift=0.137 * seed)
        _, measured = amplitudes(traces)
        locked.append(measured["chin"].ac_dc[1])
        se.append(measured["chin"].se[1])
        green = traces.region("chin")[:, 1].astype(float)
        u = DC[1] / 255
        naive.append(
            2 * np.sqrt(2) * bandpass(green, 30.0).std() / green.mean() * 2.4 * u / (u + 0.055)
        )
    known = np.isfinite(locked)
    assert known.mean() > 0.9
    error_of_mean = np.nanstd(locked) / np.sqrt(known.sum())
    assert abs(np.nanmean(locked) - truth) < 3 * error_of_mean
    assert error_of_mean < 0.1 * truth  # so the line above means something
    assert np.mean(naive) > 1.3 * truth


def test_the_reference_does_not_share_the_noise_of_what_it_measures():
    # Noise only: locked on the face's own pulse, green would seem to pulse at every seed.
    own, crossed = [], []
    for seed in range(40):
        traces = make_traces(noise=0.004, pulse=0.0, seed=seed)
        signal = pulse_from_traces(traces)
        lock = LockIn(len(signal.time_s), signal.fps, 1.25)
        x = -place_colors(traces, signal)["forehead"][:, 1:2]
        for use, out in (((0,), own), ((1, 2), crossed)):
            reference = lock.coefficients(signal.region_pulses[list(use)].mean(axis=0))
            product = (lock.coefficients(x)[:, 0] * reference.conj()).real.sum()
            out.append(product / np.sqrt((np.abs(reference) ** 2).sum()))
    assert np.mean(own) > 3 * np.std(own) / np.sqrt(len(own))
    assert abs(np.mean(crossed)) < 3 * np.std(crossed) / np.sqrt(len(crossed))


def test_a_ratio_is_undefined_where_its_denominator_is_not_significant():
    features = compute(make_recording(make_traces(noise=0.003)))
    assert features["pulse.face.heart_rate.value"] == pytest.approx(75, abs=1)
    for place in ("forehead", "face", "lips"):
        for name, below in (("rg", "green"), ("rb", "blue"), ("gb", "blue")):
            known = (
                abs(features[f"pulse.{place}.{below}.ac_dc"])
                > 2 * features[f"pulse.{place}.{below}.ac_dc_se"]
            )
            assert np.isfinite(features[f"pulse.{place}.ror_{name}.value"]) == known
    weak = make_traces(noise=1e-4)
    rgb = weak.rgb.copy()
    rgb[:, REGIONS.index("lips"), 1] = DC[1] * (
        1 + 0.002 * np.random.default_rng(0).standard_normal(len(rgb))
    )
    features = compute(make_recording(replace_rgb(weak, rgb)))
    assert np.isnan(features["pulse.lips.ror_rg.value"])
    assert np.isnan(features["pulse.lips.ror_rg.log"])
    assert np.isfinite(features["pulse.lips.red.ac_dc"])
    assert np.isfinite(features["pulse.nose.ror_rg.value"])


def replace_rgb(traces, rgb):
    return Traces(
        traces.regions,
        traces.time_s,
        rgb.astype(np.float32),
        traces.valid,
        traces.face_center,
        traces.face_size,
    )


# --- rate and delays ---


def test_rate_is_right_with_jittered_timestamps_of_varying_rate():
    rng = np.random.default_rng(3)
    t = np.cumsum(np.repeat([1 / 30, 1 / 20], [300, 200]) * rng.uniform(0.7, 1.3, 500))
    t -= t[0]
    features = compute(make_recording(make_traces(t=t, noise=0.002)))
    assert features["pulse.face.heart_rate.value"] == pytest.approx(75, abs=1)
    assert features["pulse.face.green.ac_dc"] == pytest.approx(
        true_ac_dc()[1], abs=3 * features["pulse.face.green.ac_dc_se"]
    )


def test_delays_of_regions_are_recovered():
    features = compute(
        make_recording(make_traces(noise=3e-4, lag={"nose": 0.02, "lips": -0.015}, duration=30))
    )
    assert features["pulse.nose.lag.value"] == pytest.approx(0.02, abs=0.004)
    assert features["pulse.lips.lag.value"] == pytest.approx(-0.015, abs=0.004)
    assert features["pulse.chin.lag.value"] == pytest.approx(0.0, abs=0.004)
    assert features["pulse.face.lag_rg.value"] == pytest.approx(0.0, abs=0.004)


def test_a_delay_without_coherence_is_undefined():
    traces = make_traces(noise=5e-4)
    rgb = traces.rgb.copy()
    rng = np.random.default_rng(1)
    rgb[:, REGIONS.index("nose")] = DC * (1 + 0.01 * rng.standard_normal((len(rgb), 3)))
    lag = compute(make_recording(replace_rgb(traces, rgb)))["pulse.nose.lag.value"]
    assert np.isnan(lag)


def test_variability_needs_thirty_seconds():
    long = compute(make_recording(make_traces(duration=40, noise=3e-4)))
    assert long["pulse.face.hrv.sdnn"] < 0.02
    short = compute(make_recording(make_traces(duration=25, noise=3e-4)))
    for name in ("hrv.sdnn", "hrv.rmssd", "hrv.pnn50", "respiration.rate"):
        assert np.isnan(short[f"pulse.face.{name}"])


def test_head_motion_is_measured_in_face_sizes():
    traces = make_traces(noise=5e-4, duration=30)
    center = traces.face_center + 8 * np.column_stack(
        (np.cos(2 * np.pi * 1.5 * traces.time_s), np.zeros(len(traces.time_s)))
    )
    moving = Traces(
        traces.regions,
        traces.time_s,
        traces.rgb,
        traces.valid,
        center.astype(np.float32),
        traces.face_size,
    )
    features = compute(make_recording(moving))
    assert features["pulse.face.motion.horizontal"] == pytest.approx(0.1 / np.sqrt(2), rel=0.03)
    assert features["pulse.face.motion.vertical"] == pytest.approx(0.0, abs=1e-9)


# --- what is undefined ---


def needs_pulse(name):
    always = (
        ".dc",
        "face.snr.value",
        "face.agreement.value",
        "motion.horizontal",
        "motion.vertical",
    )
    return not name.endswith(always)


def test_a_constant_clip_has_no_pulse_and_nothing_is_zero():
    traces = make_traces(noise=0.0, pulse=0.0)
    features = compute(make_recording(traces))
    for name, value in features.items():
        if needs_pulse(name) or name.endswith(("snr.value", "agreement.value")):
            assert np.isnan(value), name
        elif name.endswith(".dc"):
            assert value > 0


@pytest.mark.parametrize("seed", range(5))
def test_noise_alone_is_refused(seed):
    features = compute(make_recording(make_traces(pulse=0.0, seed=seed)))
    for name, value in features.items():
        assert np.isnan(value) == needs_pulse(name), name


def test_names_depend_on_nothing_and_are_documented():
    usual = names_of(make_recording(make_traces()))
    empty = Traces(
        REGIONS,
        np.arange(60) / 30,
        np.full((60, len(REGIONS), 3), np.nan, np.float32),
        np.zeros((60, len(REGIONS)), np.float32),
        np.full((60, 2), np.nan, np.float32),
        np.full(60, np.nan, np.float32),
    )
    none = Traces(
        (),
        np.empty(0),
        np.empty((0, 0, 3), np.float32),
        np.empty((0, 0), np.float32),
        np.empty((0, 2), np.float32),
        np.empty(0, np.float32),
    )
    short = make_traces(duration=2.4)
    for traces in (empty, none, short, make_traces(pulse=0)):
        assert names_of(make_recording(traces)) == usual
    found = {match_doc(name).pattern for name in usual}
    assert found == {doc.pattern for doc in MODALITY.docs}
    assert all(np.isnan(v) for v in compute(make_recording(empty)).values())


def test_a_hidden_cheek_costs_only_its_own_features():
    traces = make_traces(noise=5e-4)
    rgb = traces.rgb.copy()
    rgb[:, 1] = np.nan
    features = compute(make_recording(replace_rgb(traces, rgb)))
    assert np.isnan(features["pulse.left_cheek.green.ac_dc"])
    assert features["pulse.forehead.green.ac_dc"] == pytest.approx(true_ac_dc()[1], rel=0.1)
    rgb[:, 2] = np.nan
    alone = compute(make_recording(replace_rgb(traces, rgb)))
    # One region: a rate, but nothing independent to lock on.
    assert alone["pulse.face.heart_rate.value"] == pytest.approx(75, abs=1)
    assert np.isnan(alone["pulse.forehead.green.ac_dc"])


def test_the_longest_part_is_measured():
    traces = make_traces(noise=5e-4, duration=30)
    rgb = traces.rgb.copy()
    rgb[300:360] = np.nan
    signal = pulse_from_traces(replace_rgb(traces, rgb))
    assert isinstance(signal, PulseSignal)
    assert signal.time_s[0] == pytest.approx(12.0)
    assert signal.time_s[-1] == pytest.approx(899 / 30)
    assert signal.present
    assert signal.heart_rate_bpm == pytest.approx(75, abs=0.5)


def test_pulse_rises_with_blood_volume():
    signal = pulse_from_traces(make_traces(noise=1e-4))
    assert np.corrcoef(bandpass(signal.pulse, signal.fps), wave(signal.time_s))[0, 1] > 0.95


@pytest.mark.shared
def test_rate_of_a_real_clip_agrees_with_its_contact_reference(shared):
    recorder = pytest.importorskip("pallor.video.recorder")
    from pallor.errors import FaceModelError

    try:
        recording = recorder.record(shared / "face_clips" / "sample_video_1.mp4", samples=1)
    except FaceModelError as error:
        pytest.skip(str(error))
    features = compute(recording)
    assert features["pulse.face.heart_rate.value"] == pytest.approx(75.6, abs=1.0)
    assert features["pulse.face.snr.value"] > 0
