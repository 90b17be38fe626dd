"""Heart rate, and the decision whether there is a pulse at all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pallor.features.coding import (
    MIN_Z,
    jump_z,
    keyframe_positions,
    keyframe_rate,
    locked_waveform,
    near_multiple,
    staircase,
    waveform_is_sharp,
)
from pallor.features.filters import MAX_GAP_S, cubic_resample, resample_uniform
from pallor.features.rppg import METHODS
from pallor.features.spectrum import (
    agreement_at,
    power_spectrum,
    prepare,
    signal_to_noise_db,
)
from pallor.video.traces import Traces

SEARCH_BAND_HZ = (0.7, 3.0)
"""Where the heart rate is looked for: 42 to 180 a minute."""

MIN_DURATION_S = 5.0
"""Below this a heart rate is not defined: fewer than four beats at 45 a minute."""

MIN_FPS = 8.0
"""Below this rate the band up to 4 Hz cannot be seen."""

CORE_REGIONS = ("forehead", "left_cheek", "right_cheek")
"""Regions that decide about the pulse: the best perfused skin that moves least."""


@dataclass(frozen=True)
class HeartRate:
    """Heart rate and how far it stands out. NaN throughout where undefined.

    Attributes
    ----------
    bpm
        Frequency of the highest spectral peak, beats a minute.
    snr_db
        Power around the peak and its double over the rest of the band, dB; see
        `signal_to_noise_db`.
    peak_ratio
        Height of the peak over that of the highest other peak of the search band that lies
        neither within 0.2 Hz of it nor at its double; infinite if there is none.
    duration_s
        Length of the signal, seconds.
    """

    bpm: float
    snr_db: float
    peak_ratio: float
    duration_s: float

    @property
    def hz(self) -> float:
        """Heart rate in Hz."""
        return self.bpm / 60.0


def estimate_heart_rate(
    pulse: NDArray[np.float64], fps: float, search_hz: tuple[float, float] = SEARCH_BAND_HZ
) -> HeartRate:
    """Return the heart rate of a pulse signal.

    The signal is detrended and band-passed (0.5-4.5 Hz, wider than the band that is judged, so
    that the filter's edges do not shape the spectrum inside); the highest local maximum of
    its spectrum in the search band is refined by a parabola through the logarithms of three
    bins. A maximum at the very edge of the search band is the flank of something outside and
    does not count.

    There is no guard against half or double rates: in the light reflected by skin the
    fundamental outweighs the second harmonic, while a rule that prefers half the rate would
    turn every signal with respiration or drift below it into an error.

    Parameters
    ----------
    pulse
        ``(n,)`` uniform samples in any unit.
    fps
        Rate in Hz.
    search_hz
        Where to look; up to 4 Hz makes sense (infants, exercise).

    Returns
    -------
    HeartRate
        NaN for signals that are shorter than 5 s, slower than 8 Hz, not finite or constant.
    """
    x = np.asarray(pulse, dtype=np.float64)
    duration = len(x) / fps if fps > 0 else float("nan")
    nothing = HeartRate(float("nan"), float("nan"), float("nan"), duration)
    if not (fps >= MIN_FPS and duration >= MIN_DURATION_S and np.isfinite(x).all()):
        return nothing
    # Rounding leaves a residue of about 1e-16 of the signal's size: no pulse is that small.
    if np.ptp(x) <= 1e-9 * np.abs(x).max() or np.ptp(x) < 1e-12:
        return nothing
    spectrum = power_spectrum(prepare(x, fps), fps)
    f, p = spectrum.freq_hz, spectrum.power
    inside = np.flatnonzero((f > search_hz[0]) & (f < search_hz[1]))
    peaks = inside[(p[inside] > p[inside - 1]) & (p[inside] >= p[inside + 1])]
    if peaks.size == 0:
        return nothing
    best = int(peaks[np.argmax(p[peaks])])
    left, middle, right = np.log(np.maximum(p[best - 1 : best + 2], np.finfo(float).tiny))
    curvature = left - 2 * middle + right
    shift = 0.5 * (left - right) / curvature if curvature < 0 else 0.0
    f0 = float(f[best] + shift * (f[1] - f[0]))
    others = peaks[(np.abs(f[peaks] - f0) > 0.2) & (np.abs(f[peaks] - 2 * f0) > 0.2)]
    ratio = float(p[best] / p[others].max()) if others.size else float("inf")
    return HeartRate(60 * f0, signal_to_noise_db(spectrum, f0), ratio, duration)


NOISE_SNR_DB = ((5, 0.4), (7, 1.0), (10, 0.8), (15, 0.4), (20, 0.0), (30, -0.4), (60, -1.8))
"""Duration in seconds and the SNR in dB that noise exceeds in at most 1 % of the clips."""

NOISE_EVIDENCE_DB = ((5, 3.1), (7, 4.1), (10, 3.6), (15, 2.9), (20, 2.0), (30, 1.6), (60, -0.7))
"""The same for SNR plus weighted agreement of three regions."""

AGREEMENT_WEIGHT_DB = 6.0
"""What full agreement between regions adds to the evidence, dB; chosen for detection power."""


def pulse_is_present(heart_rate: HeartRate, agreement: float = float("nan")) -> bool:
    """Decide whether a signal holds a pulse; a photograph or noise must be refused.

    Noise has a highest peak too, and the shorter the signal, the more it stands out. So the
    evidence, the signal-to-noise ratio in dB plus 6 times the agreement between the regions
    (if known), is held against the level that noise exceeds in 1 % of the clips of that
    duration. The levels come from a Monte Carlo of 2000 clips for each duration and kind of
    noise, of which the worst counts: white and 1/f noise in the nine channels of three
    regions, sent through POS, and 1/f noise in the pulse signals themselves. A slow test
    repeats it. Noise that is periodic and common to all of the face is not noise of this kind
    and can pass: flickering light, a rocking head. For what the keyframes of a compressed
    video leave see `survives_coding`.

    Parameters
    ----------
    heart_rate
        From `estimate_heart_rate` with the default search band.
    agreement
        From `pallor.features.spectrum.agreement_at` for three regions; NaN if there is but
        one signal.

    Returns
    -------
    bool
        False wherever the heart rate is undefined.
    """
    evidence, levels = heart_rate.snr_db, NOISE_SNR_DB
    if np.isfinite(agreement):
        evidence, levels = evidence + AGREEMENT_WEIGHT_DB * agreement, NOISE_EVIDENCE_DB
    if not np.isfinite(evidence):
        return False
    log_duration = np.log([duration for duration, _ in levels])
    level = np.interp(np.log(heart_rate.duration_s), log_duration, [level for _, level in levels])
    return bool(evidence > level)


EXPLAINED = 0.25
"""Share of a peak's power from which the keyframes are asked whether they made it: half of
its amplitude. With less, whatever the phases, more than half of it is something else."""


def survives_coding(
    pulse: NDArray[np.float64],
    region_pulses: NDArray[np.float64],
    fps: float,
    keyframes: NDArray[np.intp],
    heart_rate: HeartRate,
) -> bool:
    """Decide whether a pulse is still there without what keyframes may have made of it.

    Two suspicions are followed, each only where it can explain the peak:

    - The signal jumps more at keyframes than elsewhere (`pallor.features.coding.jump_z`, 1 %),
      and the staircase of these jumps holds at least a quarter of the power that the signal
      has within 0.1 Hz of the peak. Then the staircase is removed.
    - Keyframes come regularly, the peak lies within ``1 / duration`` of a multiple of their
      rate, and what repeats with them jumps as no pulse wave does
      (`pallor.features.coding.waveform_is_sharp`). Then all that repeats is removed.

    What remains must hold a pulse by the rules of `pulse_is_present`, and at the same rate
    within ``1 / duration``: a peak that only the removal brings out is not believed.

    A genuine pulse at another rate than the keyframes' passes, so does one at their rate that
    they do not disturb. One at their rate with a sharp trace of them as large as itself cannot
    be told from a photograph, and is refused; so is one of which strong compression has left
    nothing but a new color at each keyframe.

    Steps at other frames than keyframes are followed only where they repeat. Encoders that code
    the last frames of each group differently, or refine the frame after the keyframe, can still
    make a photograph pass.

    Parameters
    ----------
    pulse
        ``(n,)`` uniform samples.
    region_pulses
        ``(regions, n)`` of the single regions.
    fps
        Rate in Hz.
    keyframes
        ``(k,)`` positions from `pallor.features.coding.keyframe_positions`.
    heart_rate
        Estimate from `pulse`.
    """
    if keyframes.size < 2 or not np.isfinite(heart_rate.bpm):
        return True
    resolution_hz = 1 / heart_rate.duration_s
    signals = np.concatenate((pulse[None], region_pulses))
    rest = signals
    if jump_z(pulse, keyframes) > MIN_Z:
        steps = staircase(signals, keyframes)
        if _power_near(steps[0], fps, heart_rate.hz) >= EXPLAINED * _power_near(
            pulse, fps, heart_rate.hz
        ):
            rest = rest - steps
    rate_hz = keyframe_rate(keyframes, fps)
    if near_multiple(heart_rate.hz, rate_hz, resolution_hz) and waveform_is_sharp(
        pulse, keyframes, fps
    ):
        rest = rest - locked_waveform(rest, keyframes, fps)
    if rest is signals:
        return True
    found = estimate_heart_rate(rest[0], fps)
    agreement = _agreement_of_three(rest[1:], fps, found.hz)
    same = abs(found.hz - heart_rate.hz) <= resolution_hz
    return same and pulse_is_present(found, agreement)


def _power_near(x: NDArray[np.float64], fps: float, hz: float) -> float:
    return power_spectrum(prepare(x, fps), fps).between(hz - 0.1, hz + 0.1)


def _agreement_of_three(pulses: NDArray[np.float64], fps: float, hz: float) -> float:
    # Two regions agree by chance more often than the three that the level was derived for.
    return agreement_at(pulses, fps, hz) if len(pulses) == len(CORE_REGIONS) else float("nan")


@dataclass(frozen=True)
class PulseSignal:
    """The pulse of a face on a uniform time axis.

    Attributes
    ----------
    time_s
        ``(m,)`` seconds on the clip's clock; empty if no part of the clip is usable.
    fps
        Rate in Hz; NaN if empty.
    pulse
        ``(m,)`` pulse from the mean color of the regions, turned so that it rises with blood
        volume (systole is up); no unit, neither detrended nor band-passed.
    regions
        Names of the regions that were used.
    region_rgb
        ``(regions, m, 3)`` their colors, encoded 0..255.
    region_pulses
        ``(regions, m)`` pulse of each region by itself, turned like `pulse`.
    heart_rate
        Estimate from `pulse`, whether or not there is one.
    agreement
        Of the regions at the heart rate, -1..1; NaN for one region.
    present
        Whether the estimate is to be believed (`pulse_is_present`, `survives_coding`).
    """

    time_s: NDArray[np.float64]
    fps: float
    pulse: NDArray[np.float64]
    regions: tuple[str, ...]
    region_rgb: NDArray[np.float64]
    region_pulses: NDArray[np.float64]
    heart_rate: HeartRate
    agreement: float
    present: bool

    @property
    def heart_rate_bpm(self) -> float:
        """Heart rate in beats a minute; NaN unless a pulse is present."""
        return self.heart_rate.bpm if self.present else float("nan")

    @property
    def snr_db(self) -> float:
        """Signal-to-noise ratio in dB at the estimate, whether or not a pulse is present."""
        return self.heart_rate.snr_db


def pulse_from_traces(traces: Traces, method: str = "pos") -> PulseSignal:
    """Return the pulse of the forehead and the cheeks.

    Regions that are seen in less than half as many frames as the best of them are left out
    (a turned head hides a cheek). The longest part of the clip in which the others are all
    seen, but for gaps of 0.5 s, is put on a uniform grid and their mean is projected.

    Parameters
    ----------
    traces
        Region means over time.
    method
        Name in `pallor.features.rppg.METHODS`. The levels of `pulse_is_present` were derived
        for ``pos``.

    Returns
    -------
    PulseSignal
        Empty, NaN and not present where there is nothing to measure.
    """
    names = [name for name in CORE_REGIONS if name in traces.regions]
    rgb = np.stack([traces.region(name) for name in names], 1) if names else None
    if rgb is None:
        return _no_signal()
    seen = np.isfinite(rgb).all(axis=2).sum(axis=0)
    used = np.flatnonzero((seen > 0) & (seen >= 0.5 * seen.max()))
    if used.size == 0:
        return _no_signal()
    uniform = resample_uniform(traces.time_s, rgb[:, used])
    if uniform.duration_s == 0.0:
        return _no_signal()
    colors = np.moveaxis(uniform.values, 1, 0)
    pulse = -METHODS[method](colors.mean(axis=0), uniform.fps)
    # One by one: in a clip of a quarter of an hour they would take the most memory of all.
    region_pulses = np.stack([-METHODS[method](color, uniform.fps) for color in colors])
    heart_rate = estimate_heart_rate(pulse, uniform.fps)
    agreement = agreement_at(region_pulses, uniform.fps, heart_rate.hz)
    level_agreement = _agreement_of_three(region_pulses, uniform.fps, heart_rate.hz)
    present = pulse_is_present(heart_rate, level_agreement)
    if present:
        at = keyframe_positions(uniform.time_s, uniform.fps, traces.time_s, traces.keyframes)
        present = survives_coding(pulse, region_pulses, uniform.fps, at, heart_rate)
    return PulseSignal(
        time_s=uniform.time_s,
        fps=uniform.fps,
        pulse=pulse,
        regions=tuple(names[i] for i in used),
        region_rgb=colors,
        region_pulses=region_pulses,
        heart_rate=heart_rate,
        agreement=agreement,
        present=present,
    )


def region_on_grid(traces: Traces, name: str, time_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the color of a region on the grid of a pulse signal.

    Parameters
    ----------
    traces
        Region means over time.
    name
        Of the region.
    time_s
        ``(m,)`` uniform grid.

    Returns
    -------
    numpy.ndarray
        ``(m, 3)`` encoded 0..255; all NaN if the region is unknown or not seen throughout,
        but for gaps of at most 0.5 s.
    """
    nothing = np.full((len(time_s), 3), np.nan)
    if name not in traces.regions or len(time_s) < 2:
        return nothing
    rgb = np.asarray(traces.region(name), dtype=np.float64)
    inside = (traces.time_s >= time_s[0] - 1e-9) & (traces.time_s <= time_s[-1] + MAX_GAP_S)
    index = np.flatnonzero(np.isfinite(rgb).all(axis=1) & inside)
    if index.size < 2:
        return nothing
    t = traces.time_s[index]
    gaps = np.diff(np.concatenate(([time_s[0]], t, [max(t[-1], time_s[-1])])))
    if gaps.max() > MAX_GAP_S:
        return nothing
    return cubic_resample(t, rgb[index], np.clip(time_s, t[0], t[-1]))


def _no_signal() -> PulseSignal:
    nan, none = float("nan"), np.empty(0)
    return PulseSignal(
        none, nan, none, (), np.empty((0, 0, 3)), np.empty((0, 0)),
        HeartRate(nan, nan, nan, 0.0), nan, False,
    )  # fmt: skip
