"""Documentation of the features of the modality ``pulse``."""

from __future__ import annotations

from pallor.features.modality import FeatureDoc

_LOCK_IN = (
    "Band-spectrum regression on the pulse of the other regions (Engle 1974, Int Econ Rev 15:1), "
    "corrected for the noise of the reference (Spearman-Brown)"
)
_ROR = "Ratio of ratios of pulse oximetry"
_ELGENDI = "Elgendi 2012, Curr Cardiol Rev 8:14"
_HRV = "Task Force 1996, Circulation 93:1043; only from 30 s on and with an SNR above 0 dB"

_PLACES = (
    FeatureDoc(
        "pulse.{region}.{channel}.ac_dc",
        "Pulse amplitude relative to the mean light, signed: positive where light falls as blood "
        "volume rises.",
        "gamma * AC / DC, gamma = 2.4 u / (u + 0.055) at the median u; AC = 2 sqrt(2) RMS of the "
        "component that follows the pulse within 0.2 Hz of the heart rate and 0.4 Hz of its "
        "double. Linear light: only there is a change of blood volume the same fraction at every "
        "exposure.",
        "1",
        _LOCK_IN,
    ),
    FeatureDoc(
        "pulse.{region}.{channel}.ac_dc_se",
        "Standard error of AC/DC.",
        "From the density of the residual in the same bands, each harmonic by itself, and the "
        "error of the reference's reliability.",
        "1",
        _LOCK_IN,
    ),
    FeatureDoc(
        "pulse.{region}.{channel}.dc",
        "Mean light of the place.",
        "Median over time, linearized.",
        "1",
        "IEC 61966-2-1",
    ),
    FeatureDoc(
        "pulse.{region}.ror_{pair}.value",
        "Ratio of the AC/DC of two channels (r red, g green, b blue).",
        "First channel over second; NaN where the second is below 2 standard errors.",
        "1",
        _ROR,
    ),
    FeatureDoc(
        "pulse.{region}.ror_{pair}.log",
        "Logarithm of the ratio of ratios.",
        "ln of the ratio; NaN where it is not positive.",
        "1",
        _ROR,
    ),
    FeatureDoc(
        "pulse.{region}.lag.value",
        "Delay of the region's pulse behind that of the other regions.",
        "Phase of the cross-spectrum within 0.2 Hz of the heart rate over 2 pi f0; NaN where the "
        "coherence is not significant at 1 %.",
        "s",
        "Carter 1987, Proc IEEE 75:236",
    ),
    FeatureDoc(
        "pulse.{region}.snr.value",
        "Signal-to-noise ratio of the place's pulse at the heart rate of the face. For the face "
        "it is there even when no pulse is present.",
        "Power within 0.1 Hz of f0 and 0.2 Hz of 2 f0 over the rest of 0.7-4 Hz.",
        "dB",
        "de Haan & Jeanne 2013, IEEE Trans Biomed Eng 60:2878",
    ),
)

_FACE = (
    FeatureDoc(
        "pulse.face.lag_{pair}.value",
        "Delay of the first channel behind the second (r red, g green, b blue).",
        "As for the regions, on the mean color of forehead and cheeks.",
        "s",
        "Carter 1987, Proc IEEE 75:236",
    ),
    FeatureDoc(
        "pulse.face.heart_rate.value",
        "Heart rate.",
        "Highest spectral peak of the POS pulse between 0.7 and 3 Hz.",
        "bpm",
        "Wang et al. 2017, IEEE Trans Biomed Eng 64:1479",
    ),
    FeatureDoc(
        "pulse.face.agreement.value",
        "How well forehead and cheeks agree around the heart rate; there even without a pulse.",
        "Real cross-spectrum over the geometric mean of the powers, all pairs.",
        "1",
        "Ours: part of the decision whether a pulse is present",
    ),
    FeatureDoc(
        "pulse.face.respiration.rate",
        "Respiration rate, where rate, height and baseline of the beats agree on it.",
        "Mean of three spectral peaks between 0.1 and 0.5 Hz; NaN if their SD exceeds 4 a minute.",
        "1/min",
        "Karlen et al. 2013, IEEE Trans Biomed Eng 60:1946",
    ),
    FeatureDoc(
        "pulse.face.motion.{direction}",
        "Head motion in the pulse band.",
        "Standard deviation of the face's center, 0.7-4 Hz, over the interocular distance.",
        "1",
        "Ours: what could be mistaken for a pulse",
    ),
)

_SPECTRUM = {
    "power_1": ("Share of the power around the heart rate.", "Within 0.1 Hz, of 0.5-4.5 Hz.", "1"),
    "power_2": ("Share of the power around its double.", "Within 0.1 Hz, of 0.5-4.5 Hz.", "1"),
    "power_3": ("Share of the power around its triple.", "Within 0.1 Hz, of 0.5-4.5 Hz.", "1"),
    "ratio_2_1": ("Second harmonic over the first.", "power_2 / power_1.", "1"),
    "ratio_3_1": ("Third harmonic over the first.", "power_3 / power_1.", "1"),
    "nha": ("Normalized harmonic area.", "Power of harmonics above the first over all.", "1"),
    "entropy": ("Spectral entropy.", "-sum p ln p over its maximum, 0.7-4 Hz.", "1"),
    "centroid": ("Spectral centroid.", "Mean frequency weighted by power, 0.7-4 Hz.", "Hz"),
    "band_low": ("Power between 0.7 and 1 Hz.", "Over that of 0.7-4 Hz.", "1"),
    "band_middle": ("Power between 1 and 2 Hz.", "Over that of 0.7-4 Hz.", "1"),
    "band_high": ("Power between 2 and 4 Hz.", "Over that of 0.7-4 Hz.", "1"),
}

_VARIABILITY = {
    "sdnn": ("Standard deviation of the intervals between beats.", "SD of clean intervals.", "s"),
    "rmssd": (
        "Change from interval to interval.",
        "Root mean square of successive differences.",
        "s",
    ),
    "pnn50": ("Share of large changes.", "Share of successive differences above 50 ms.", "1"),
}

_BEAT = {
    "crest_time": ("Time from foot to peak.", "Average beat at 250 Hz.", "s"),
    "decay_time": ("Time from peak to the next foot.", "Average beat at 250 Hz.", "s"),
    "crest_fraction": ("Crest time over period.", "crest_time / period.", "1"),
    "rise_slope": ("Steepest rise, heights a second.", "Maximum of the derivative.", "1/s"),
    "decay_slope": ("Steepest fall, heights a second.", "Minimum of the derivative.", "1/s"),
    **{
        f"width_{p}": (f"Width at {p} % of the height.", "Distance of the crossings.", "s")
        for p in (10, 25, 33, 50, 66, 75)
    },
    "area": ("Area of the beat of height 1.", "Trapezoids.", "s"),
    "area_before_peak": ("Area before the peak.", "Trapezoids.", "s"),
    "area_after_peak": ("Area after the peak.", "Trapezoids.", "s"),
    "ipa": ("Inflection point area ratio.", "Area after the notch over area before it.", "1"),
    "skewness": ("Skewness of the beat as a distribution over time.", "m3 / m2^1.5.", "1"),
    "kurtosis": ("Kurtosis of the beat as a distribution over time.", "m4 / m2^2.", "1"),
    "notch_time": ("Time of the dicrotic notch.", "First minimum after the peak, else NaN.", "s"),
    "notch_height": ("Height of the notch.", "Relative to the peak.", "1"),
    "reflection_index": ("Height of the diastolic peak.", "Relative to the systolic peak.", "1"),
    "reflection_delay": ("Delay of the diastolic peak.", "Behind the systolic peak.", "s"),
    "vpg_y_w": ("Steepest fall over steepest rise.", "y / w of the first derivative.", "1"),
    "apg_b_a": ("Wave b over wave a. Marginal at 30 frames a second.", "2nd derivative.", "1"),
    "apg_c_a": ("Wave c over wave a. Marginal at 30 frames a second.", "2nd derivative.", "1"),
    "apg_d_a": ("Wave d over wave a. Marginal at 30 frames a second.", "2nd derivative.", "1"),
    "apg_e_a": ("Wave e over wave a. Marginal at 30 frames a second.", "2nd derivative.", "1"),
    "apg_aging_index": ("Aging index. Marginal at 30 frames a second.", "(b-c-d-e) / a.", "1"),
    "correlation": ("Mean correlation of the beats with their average.", "Template matching.", "1"),
    "count": ("Beats in the average.", "After removal of outliers.", "1"),
}


def _family(prefix: str, table: dict[str, tuple[str, str, str]], source: str) -> list[FeatureDoc]:
    return [
        FeatureDoc(f"{prefix}.{name}", description, formula, unit, source)
        for name, (description, formula, unit) in table.items()
    ]


DOCS: tuple[FeatureDoc, ...] = (
    *_PLACES,
    *_FACE,
    *_family("pulse.face.spectrum", _SPECTRUM, "Power spectral density of the POS pulse (Welch)"),
    *_family("pulse.face.hrv", _VARIABILITY, _HRV),
    *_family("pulse.face.beat", _BEAT, _ELGENDI),
)
"""One entry a family of features; every feature matches exactly one pattern."""
