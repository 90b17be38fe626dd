"""The modality ``pulse``: amplitudes, delays, beat shape, spectrum and rate of the pulse.

Amplitudes are found by lock-in (`pallor.features.lockin`), and a region is never measured with
a reference that holds its own noise: forehead and cheeks lock on the other two of the three,
every other region on all three. The face is the mean of forehead and cheeks; its amplitude is
the mean of theirs.

AC/DC refers to *linear* light, in which a given change of blood volume is the same fraction
whatever the exposure. Encoded means are measured, and to first order
``d ln(linear) = gamma d ln(encoded)``, where ``gamma = 2.4 u / (u + 0.055)`` is the local
exponent of the sRGB curve (IEC 61966-2-1) at the region's median ``u``. Linearizing the means
themselves would do the same for a pulse of 1 %, but distort large slow changes.

Where no pulse is present everything that needs one is NaN; DC, motion and the evidence for a
pulse are still given.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pallor.features.beats import average_beat, detect_beats
from pallor.features.filters import bandpass, detrend
from pallor.features.heart_rate import (
    CORE_REGIONS,
    PulseSignal,
    pulse_from_traces,
    region_on_grid,
)
from pallor.features.hrv import MIN_DURATION_S, respiration_per_minute, variability
from pallor.features.lockin import LockIn, Reference
from pallor.features.modality import Modality
from pallor.features.morphology import SHAPE_NAMES, beat_shape
from pallor.features.pulse_docs import DOCS
from pallor.features.rppg import pos
from pallor.features.spectrum import (
    harmonic_features,
    power_spectrum,
    prepare,
    signal_to_noise_db,
)
from pallor.video.recording import InputKind, Recording
from pallor.video.traces import Traces

CHANNELS = ("red", "green", "blue")
"""Order of the channels in a trace."""

OTHER_REGIONS = ("nose", "chin", "lips")
"""Regions besides forehead and cheeks whose pulse is measured."""

PLACES = (*CORE_REGIONS, *OTHER_REGIONS, "background", "face")
"""Places with AC/DC; the background is a control, it should have none."""

SKIN_PLACES = (*CORE_REGIONS, *OTHER_REGIONS, "face")
"""Places with ratios, delays and a signal-to-noise ratio."""

RATIOS = {"rg": (0, 1), "rb": (0, 2), "gb": (1, 2)}
"""Ratios of ratios: channel above, channel below."""

SIGNIFICANT = 2.0
"""A ratio is undefined where its denominator is less than this many standard errors."""

NAN = float("nan")


@dataclass(frozen=True)
class Amplitude:
    """Pulse of one place in linear light; each ``(3,)`` over red, green, blue.

    Attributes
    ----------
    ac_dc
        Signed amplitude over mean; positive in phase with the pulse of the face (light falls
        when blood volume rises).
    se
        Its standard error.
    dc
        Median linear light, 0..1.
    """

    ac_dc: NDArray[np.float64]
    se: NDArray[np.float64]
    dc: NDArray[np.float64]


def compute(recording: Recording) -> dict[str, float]:
    """Return the pulse features of a face video.

    Parameters
    ----------
    recording
        Only its traces are used.

    Returns
    -------
    dict
        Always the same names; NaN where undefined.
    """
    traces = recording.traces
    signal = pulse_from_traces(traces)
    colors = place_colors(traces, signal)
    features: dict[str, float] = {}
    lock = LockIn(len(signal.time_s), signal.fps, signal.heart_rate.hz) if signal.present else None
    for place, amplitude in measure_amplitudes(signal, colors, lock).items():
        features |= _amplitude_features(place, amplitude)
    features |= _delay_features(signal, colors, lock)
    features |= _rate_features(signal, colors)
    features |= _beat_features(signal)
    features |= _motion_features(traces, signal)
    return features


def place_colors(traces: Traces, signal: PulseSignal) -> dict[str, NDArray[np.float64]]:
    """Return the color of each place on the grid of the pulse signal.

    Parameters
    ----------
    traces
        Region means over time.
    signal
        From `pallor.features.heart_rate.pulse_from_traces`.

    Returns
    -------
    dict
        Place to ``(m, 3)``, encoded 0..255; all NaN where a place is not seen throughout.
    """
    core = dict(zip(signal.regions, signal.region_rgb, strict=True))
    nothing = np.full((len(signal.time_s), 3), np.nan)
    colors = {name: core.get(name, nothing) for name in CORE_REGIONS}
    for name in (*OTHER_REGIONS, "background"):
        colors[name] = region_on_grid(traces, name, signal.time_s)
    colors["face"] = np.mean(signal.region_rgb, axis=0) if len(core) else nothing
    return colors


def measure_amplitudes(
    signal: PulseSignal, colors: dict[str, NDArray[np.float64]], lock: LockIn | None
) -> dict[str, Amplitude]:
    """Measure AC/DC in linear light at every place.

    Parameters
    ----------
    signal
        The pulse.
    colors
        From `place_colors`.
    lock
        Lock-in at the heart rate; None where no pulse is present.

    Returns
    -------
    dict
        Place to amplitude; NaN where undefined.
    """
    undefined = (np.full(3, np.nan), np.full(3, np.nan))
    ac: dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]] = {}
    if lock is not None:
        every = tuple(range(len(signal.regions)))
        for place in PLACES:
            own = signal.regions.index(place) if place in signal.regions else None
            reference = lock.reference(signal.region_pulses, tuple(i for i in every if i != own))
            if reference is not None and np.isfinite(colors[place]).all():
                ac[place] = _locked(lock, colors[place], reference)
        parts = [ac[name][0] for name in signal.regions if name in ac]
        if parts and "face" in ac:
            # Amplitudes from references that do not share the noise, error from the mean color.
            ac["face"] = (np.mean(parts, axis=0), ac["face"][1])
    return {place: _linear(colors[place], *ac.get(place, undefined)) for place in PLACES}


def _locked(
    lock: LockIn, color: NDArray[np.float64], reference: Reference
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    # The pulse signals are turned to blood volume, the light falls when they rise.
    amplitude, se = lock.amplitude(-color, reference)
    # A channel that never changes (clipped, or black) is not a channel without a pulse.
    dead = np.ptp(color, axis=0) == 0
    return np.where(dead, np.nan, amplitude), np.where(dead, np.nan, se)


def _linear(
    color: NDArray[np.float64], ac: NDArray[np.float64], se: NDArray[np.float64]
) -> Amplitude:
    """Convert amplitudes of encoded values to relative amplitudes of linear light."""
    if len(color) == 0:
        return Amplitude(ac, se, np.full(3, np.nan))
    u = np.median(color, axis=0) / 255.0
    low = u <= 0.04045
    gamma = np.where(low, 1.0, 2.4 * u / (u + 0.055))
    dc = np.where(low, u / 12.92, ((u + 0.055) / 1.055) ** 2.4)
    with np.errstate(invalid="ignore", divide="ignore"):
        relative = np.where(u > 0, gamma / (255.0 * u), np.nan)
    return Amplitude(ac * relative, se * relative, dc)


def _amplitude_features(place: str, amplitude: Amplitude) -> dict[str, float]:
    features: dict[str, float] = {}
    for i, channel in enumerate(CHANNELS):
        features[f"pulse.{place}.{channel}.ac_dc"] = float(amplitude.ac_dc[i])
        features[f"pulse.{place}.{channel}.ac_dc_se"] = float(amplitude.se[i])
        features[f"pulse.{place}.{channel}.dc"] = float(amplitude.dc[i])
    if place in SKIN_PLACES:
        for name, (above, below) in RATIOS.items():
            known = abs(amplitude.ac_dc[below]) > SIGNIFICANT * amplitude.se[below]
            ratio = float(amplitude.ac_dc[above] / amplitude.ac_dc[below]) if known else NAN
            features[f"pulse.{place}.ror_{name}.value"] = ratio
            features[f"pulse.{place}.ror_{name}.log"] = float(np.log(ratio)) if ratio > 0 else NAN
    return features


def _delay_features(
    signal: PulseSignal, colors: dict[str, NDArray[np.float64]], lock: LockIn | None
) -> dict[str, float]:
    """Return delays of regions behind the other regions, and of red and blue behind green."""
    names = {place: f"pulse.{place}.lag.value" for place in SKIN_PLACES if place != "face"}
    snr_names = {place: f"pulse.{place}.snr.value" for place in names}
    features = dict.fromkeys((*names.values(), *snr_names.values()), NAN)
    features |= {"pulse.face.lag_rg.value": NAN, "pulse.face.lag_bg.value": NAN}
    if lock is None:
        return features
    every = tuple(range(len(signal.regions)))
    for place in names:
        own = signal.regions.index(place) if place in signal.regions else None
        reference = lock.reference(signal.region_pulses, tuple(i for i in every if i != own))
        if not np.isfinite(colors[place]).all():
            continue
        pulse = -pos(colors[place], signal.fps)
        spectrum = power_spectrum(prepare(pulse, signal.fps), signal.fps)
        features[snr_names[place]] = signal_to_noise_db(spectrum, lock.f0_hz)
        if reference is not None:
            features[names[place]] = lock.lag_s(pulse, reference.coefficients)
    green = lock.coefficients(colors["face"][:, 1])
    features["pulse.face.lag_rg.value"] = lock.lag_s(colors["face"][:, 0], green)
    features["pulse.face.lag_bg.value"] = lock.lag_s(colors["face"][:, 2], green)
    return features


def _rate_features(signal: PulseSignal, colors: dict[str, NDArray[np.float64]]) -> dict[str, float]:
    """Return rate, evidence, spectrum, variability and respiration."""
    rate, fps = signal.heart_rate, signal.fps
    spectrum = power_spectrum(prepare(signal.pulse, fps), fps) if signal.present else None
    features = {
        "pulse.face.heart_rate.value": signal.heart_rate_bpm,
        "pulse.face.snr.value": signal.snr_db,
        "pulse.face.agreement.value": signal.agreement,
    }
    for name, value in harmonic_features(spectrum, rate.hz).items():
        features[f"pulse.face.spectrum.{name}"] = value
    values = variability(np.empty(0))
    respiration = NAN
    if signal.present and rate.duration_s >= MIN_DURATION_S and rate.snr_db > 0:
        peaks = detect_beats(signal.pulse, fps, rate.hz).peak_s
        values = variability(peaks)
        respiration = respiration_per_minute(
            bandpass(signal.pulse, fps), colors["face"][:, 1], fps, peaks
        )
    features |= {f"pulse.face.hrv.{name}": value for name, value in values.items()}
    features["pulse.face.respiration.rate"] = respiration
    return features


def _beat_features(signal: PulseSignal) -> dict[str, float]:
    """Return the shape of the average beat."""
    beat = None
    if signal.present:
        found = detect_beats(signal.pulse, signal.fps, signal.heart_rate.hz)
        beat = average_beat(signal.pulse, signal.fps, found)
    shape = beat_shape(beat)
    features = {f"pulse.face.beat.{name}": shape[name] for name in SHAPE_NAMES}
    features["pulse.face.beat.correlation"] = beat.correlation if beat else NAN
    features["pulse.face.beat.count"] = float(beat.beats) if beat else NAN
    return features


def _motion_features(traces: Traces, signal: PulseSignal) -> dict[str, float]:
    """Return the head motion in the pulse band, in face sizes (interocular distances)."""
    names = ("pulse.face.motion.horizontal", "pulse.face.motion.vertical")
    if len(signal.time_s) < 4:
        return dict.fromkeys(names, NAN)
    center = np.column_stack((traces.face_center, traces.face_size))
    inside = (traces.time_s >= signal.time_s[0] - 1e-9) & (
        traces.time_s <= signal.time_s[-1] + 1e-9
    )
    known = np.isfinite(center).all(axis=1) & inside
    if known.sum() < 4:
        return dict.fromkeys(names, NAN)
    t = traces.time_s[known]
    path = [np.interp(signal.time_s, t, center[known, i]) for i in (0, 1)]
    moved = bandpass(detrend(np.column_stack(path), signal.fps), signal.fps)
    std = moved.std(axis=0) / np.median(center[known, 2])
    return dict(zip(names, map(float, std), strict=True))


MODALITY = Modality(
    name="pulse",
    compute=compute,
    docs=DOCS,
    input_kinds=frozenset({InputKind.FACE_VIDEO}),
)
"""The pulse of a face video."""
