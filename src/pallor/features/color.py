"""The color modality: what the pixels of each region say, and how regions differ.

Names are ``color.{region}.{quantity}.{statistic}``. Statistics are computed in each sample of
the clip; the value is their median over the samples, so a blink or a passing shadow does not
move it. Differences between two regions are taken in the same sample first.

Logarithms. A logarithm is taken of each pixel, then averaged: shading within a region divides
out pixel by pixel, and a difference of such means between two regions of one picture cancels
the color of the light exactly as long as a gain per channel describes it (von Kries). A pixel
of which any linear channel lies below `LINEAR_FLOOR` is left out of all logarithms; where that
leaves less than half of the region they are NaN, since the rest would no longer stand for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pallor.features import colorspace
from pallor.features.colorspace import LINEAR_FLOOR
from pallor.features.modality import FeatureDoc, Modality
from pallor.features.statistics import (
    MIN_PIXELS,
    circular_mean_and_std,
    circular_median,
    entropy,
    mean_and_std,
    moments,
    nan_median,
    nan_std,
    percentiles,
)
from pallor.video.recording import InputKind, Recording
from pallor.video.regions import REGIONS

Floats = NDArray[np.float64]

PAIRS: Final[tuple[tuple[str, str], ...]] = (
    ("lips", "sclera"),
    ("lips", "forehead"),
    ("lips", "cheeks"),
    ("lips", "background"),
    ("lower_lids", "sclera"),
    ("lower_lids", "cheeks"),
    ("cheeks", "sclera"),
    ("cheeks", "background"),
    ("forehead", "cheeks"),
    ("nose", "cheeks"),
)
"""Regions compared in the logarithm. ``cheeks`` pools the pixels of both cheeks in view."""

TISSUE_PAIR: Final = ("tissue_reddest", "tissue_palest")
"""Quarters of a region still's pixels with the highest and the lowest ln(R/G)."""

_MOMENTS = ("mean", "std", "skewness", "kurtosis")
_PERCENTILES = ("p5", "p25", "p50", "p75", "p95")
_ALL = (*_MOMENTS, *_PERCENTILES, "entropy", "temporal_std")
_SRGB = "IEC 61966-2-1; channel statistics are the common ground of the field"


@dataclass(frozen=True)
class Quantity:
    """One measured quantity of a region, with its statistics and its documentation."""

    name: str
    statistics: tuple[str, ...]
    description: str
    formula: str
    unit: str
    source: str


QUANTITIES: Final[tuple[Quantity, ...]] = (
    Quantity("red", _ALL, "Red as stored.", "R', sRGB-encoded", "0..255", _SRGB),
    Quantity("green", _ALL, "Green as stored.", "G', sRGB-encoded", "0..255", _SRGB),
    Quantity("blue", _ALL, "Blue as stored.", "B', sRGB-encoded", "0..255", _SRGB),
    Quantity(
        "linear_red", ("mean",), "Red light.", "R = decode(R' / 255)", "0..1", "IEC 61966-2-1"
    ),
    Quantity(
        "linear_green", ("mean",), "Green light.", "G = decode(G' / 255)", "0..1", "IEC 61966-2-1"
    ),
    Quantity(
        "linear_blue", ("mean",), "Blue light.", "B = decode(B' / 255)", "0..1", "IEC 61966-2-1"
    ),
    Quantity(
        "hue",
        ("mean", "std"),
        "Hue; red is 0, gray pixels have none.",
        "HSV hexagon on R', G', B', circular statistics",
        "degree",
        "Smith 1978, SIGGRAPH; Mardia 1972, Statistics of Directional Data",
    ),
    Quantity(
        "saturation", ("mean", "std"), "HSV saturation.", "(max - min) / max", "0..1", "Smith 1978"
    ),
    Quantity("value", ("mean",), "HSV value.", "max(R', G', B') / 255", "0..1", "Smith 1978"),
    Quantity("lab_l", ("mean", "std"), "Lightness L*.", "116 f(Y/Yn) - 16", "1", "CIE 15, D65, 2°"),
    Quantity(
        "lab_a",
        ("mean", "std", "skewness", "p25", "p50", "p75"),
        "Redness against greenness a*.",
        "500 (f(X/Xn) - f(Y/Yn))",
        "1",
        "CIE 15, D65, 2°",
    ),
    Quantity(
        "lab_b",
        ("mean", "std"),
        "Yellowness against blueness b*.",
        "200 (f(Y/Yn) - f(Z/Zn))",
        "1",
        "CIE 15, D65, 2°",
    ),
    Quantity("luma", ("mean",), "Luma.", "0.299 R' + 0.587 G' + 0.114 B'", "0..255", "BT.601"),
    Quantity("cb", ("mean",), "Blue difference.", "128 + (B' - Y) / 1.772", "0..255", "BT.601"),
    Quantity("cr", ("mean",), "Red difference.", "128 + (R' - Y) / 1.402", "0..255", "BT.601"),
    Quantity(
        "chroma_r", ("mean",), "Red chromaticity.", "R / (R + G + B), linear", "0..1", "CIE 15"
    ),
    Quantity(
        "chroma_g", ("mean",), "Green chromaticity.", "G / (R + G + B), linear", "0..1", "CIE 15"
    ),
    Quantity(
        "log_rg",
        ("mean", "std", "skewness", *_PERCENTILES, "temporal_std"),
        "Difference of absorbance, green minus red: rises with blood.",
        "ln R - ln G, linear, pixel by pixel",
        "1",
        "Beer-Lambert law",
    ),
    Quantity(
        "log_gb",
        ("mean", "std", "p50", "temporal_std"),
        "Difference of absorbance, blue minus green: rises with melanin.",
        "ln G - ln B, linear, pixel by pixel",
        "1",
        "Beer-Lambert law",
    ),
    Quantity(
        "log_rb",
        ("mean",),
        "Difference of absorbance, blue minus red.",
        "ln R - ln B, linear, pixel by pixel",
        "1",
        "Beer-Lambert law",
    ),
    Quantity(
        "ratio_rg", ("of_means",), "Red over green as stored.", "mean R' / mean G'", "1", "common"
    ),
    Quantity(
        "ratio_rb", ("of_means",), "Red over blue as stored.", "mean R' / mean B'", "1", "common"
    ),
    Quantity(
        "ratio_gb", ("of_means",), "Green over blue as stored.", "mean G' / mean B'", "1", "common"
    ),
    Quantity(
        "rg_index",
        ("of_means",),
        "Red-green contrast, bounded.",
        "(R - G) / (R + G) of the linear means",
        "-1..1",
        "normalized difference",
    ),
    Quantity(
        "ei",
        ("mean",),
        "Erythema index.",
        "100 (log10 R - log10 G), linear",
        "1",
        "Dawson et al. 1980, Phys Med Biol 25:695; Yamamoto et al. 2008, Skin Res Technol 14:26",
    ),
    Quantity(
        "mi",
        ("mean",),
        "Melanin index; moves with exposure too.",
        "100 log10(1 / R), linear",
        "1",
        "Yamamoto et al. 2008, Skin Res Technol 14:26",
    ),
    Quantity(
        "ita",
        ("of_means",),
        "Individual typology angle; NaN where b* <= 0.",
        "atan2(L* - 50, b*) of the means",
        "degree",
        "Chardon et al. 1991, Int J Cosmet Sci 13:191",
    ),
    Quantity(
        "high_hue",
        ("share",),
        "High hue ratio: share of strongly red pixels.",
        f"|hue| <= {colorspace.HUE_LIMIT_DEG:g} degrees "
        f"and saturation > {colorspace.SATURATION_FLOOR:g}",
        "0..1",
        "Chen, Miaou, Bian 2016, Comput Methods Programs Biomed 137:125; thresholds ours",
    ),
    Quantity(
        "melanin",
        ("mean",),
        "Melanin by unmixing of optical densities, relative.",
        "row 1 of UNMIXING times (-ln R, -ln G, -ln B)",
        "volume fraction of the epidermis",
        "after Tsumura et al. 1999, J Opt Soc Am A 16:2169; columns from a reflectance model",
    ),
    Quantity(
        "hemoglobin",
        ("mean",),
        "Blood content times its hemoglobin by unmixing of optical densities, relative.",
        "row 2 of UNMIXING times (-ln R, -ln G, -ln B)",
        "ln of the blood content",
        "after Tsumura et al. 1999, J Opt Soc Am A 16:2169; columns from a reflectance model",
    ),
)

LOG_KEYS: Final = (
    "log_rg.mean",
    "log_rg.p50",
    "log_gb.mean",
    "log_rb.mean",
    "ei.mean",
    "melanin.mean",
    "hemoglobin.mean",
)
"""What is compared between regions."""

_KEYS = tuple(f"{q.name}.{s}" for q in QUANTITIES for s in q.statistics if s != "temporal_std")
_TEMPORAL = tuple(q.name for q in QUANTITIES if "temporal_std" in q.statistics)

# Rows of the channel block: the first four get their whole distribution.
_DISTRIBUTIONS = ("red", "green", "blue", "lab_a")
_SPREADS = ("lab_l", "lab_b", "saturation")
_MEANS = ("linear_red", "linear_green", "linear_blue", "value", "luma", "cb", "cr")
_CHROMA = ("chroma_r", "chroma_g")
_CHANNELS = (*_DISTRIBUTIONS, *_SPREADS, *_MEANS, *_CHROMA)

_LINEAR_OF_CODE = colorspace.srgb_to_linear(np.arange(256) / 255.0)
_LOG_PAIRS = np.array([[1.0, -1.0, 0.0], [0.0, 1.0, -1.0], [1.0, 0.0, -1.0]])
_DECADE = 100.0 / np.log(10.0)


@dataclass(frozen=True)
class _Block:
    """Channels of all pixels of one sample; the last axis is the pixel."""

    channels: Floats
    hue: Floats
    saturated_red: NDArray[np.bool_]
    logs: Floats
    bright: NDArray[np.bool_]


def region_features(rgb: ArrayLike) -> dict[str, float]:
    """All statistics of the pixels of one region in one picture.

    Parameters
    ----------
    rgb
        ``(n, 3)`` gamma-encoded, 0..255; uint8, or floating point for values between codes.

    Returns
    -------
    dict
        ``{quantity.statistic: value}``; NaN for fewer than `MIN_PIXELS` pixels.
    """
    block = _block(np.asarray(rgb))
    return _describe(block, slice(0, block.hue.size))


def compute(recording: Recording) -> dict[str, float]:
    """Color features of a recording.

    Parameters
    ----------
    recording
        Of any kind of input; a region still has the single region ``tissue``.

    Returns
    -------
    dict
        ``{feature name: value}``, the names given by the kind of input alone. A region that is
        nowhere visible, or has fewer than `MIN_PIXELS` pixels, gives NaN.
    """
    is_region = recording.input_kind is InputKind.REGION_STILL
    regions = ("tissue",) if is_region else tuple(REGIONS)
    pairs = (TISSUE_PAIR,) if is_region else PAIRS
    places = (*regions, TISSUE_PAIR[0]) if is_region else regions
    names = [f"{place}.{key}" for place in regions for key in _KEYS]
    names += [f"{place}.{key}" for place in places[len(regions) :] for key in LOG_KEYS]
    names += [f"{a}_minus_{b}.{key}" for a, b in pairs for key in LOG_KEYS]

    per_sample = [_sample_features(s.pixels, regions, pairs) for s in recording.samples]
    table = np.array([[f.get(n, np.nan) for n in names] for f in per_sample], dtype=np.float64)
    table = (
        table.reshape(len(per_sample), len(names))
        if per_sample
        else np.full((1, len(names)), np.nan)
    )
    values = dict(zip(names, nan_median(table).tolist(), strict=True))
    column = {name: i for i, name in enumerate(names)}
    for region in regions:
        hue = f"{region}.hue.mean"
        values[hue] = circular_median(table[:, column[hue]])

    moving = [f"{region}.{quantity}" for region in regions for quantity in _TEMPORAL]
    spread = nan_std(table[:, [column[f"{m}.mean"] for m in moving]])
    values.update(zip((f"{m}.temporal_std" for m in moving), spread.tolist(), strict=True))
    return {f"color.{name}": value for name, value in values.items()}


def _sample_features(
    pixels: Mapping[str, NDArray[np.uint8]],
    regions: Sequence[str],
    pairs: Sequence[tuple[str, str]],
) -> dict[str, float]:
    """Features of one sample; what is not visible is absent."""
    visible = [r for r in regions if r in pixels and len(pixels[r]) >= MIN_PIXELS]
    if not visible:
        return {}
    # one conversion for all regions: the cost of a call outweighs that of a thousand pixels
    block = _block(np.concatenate([pixels[r] for r in visible]))
    ends = np.cumsum([len(pixels[r]) for r in visible]).tolist()
    where = {r: slice(end - len(pixels[r]), end) for r, end in zip(visible, ends, strict=True)}

    described = {place: _describe(block, place_slice) for place, place_slice in where.items()}
    features = {f"{p}.{key}": v for p, keys in described.items() for key, v in keys.items()}
    compared: dict[str, dict[str, float]] = dict(described)
    cheeks = [where[r] for r in ("left_cheek", "right_cheek") if r in where]
    if cheeks:
        index = np.concatenate([np.arange(s.start, s.stop) for s in cheeks])
        compared["cheeks"] = _log_features(block.logs[:, index], block.bright[index])
    if "tissue" in where:
        compared |= _quarters(block)
        features |= {f"{TISSUE_PAIR[0]}.{key}": compared[TISSUE_PAIR[0]][key] for key in LOG_KEYS}
    for a, b in pairs:
        if a in compared and b in compared:
            for key in LOG_KEYS:
                features[f"{a}_minus_{b}.{key}"] = compared[a][key] - compared[b][key]
    return features


def _block(rgb: NDArray[np.generic]) -> _Block:
    """Convert ``(n, 3)`` pixels into all channels at once."""
    # column by column in memory, as every conversion below walks along single channels
    encoded = np.asarray(rgb.astype(np.float64), order="F")
    if rgb.dtype == np.uint8:
        linear = np.asfortranarray(_LINEAR_OF_CODE[rgb])
    else:
        linear = colorspace.srgb_to_linear(encoded / 255.0)
    hsv = colorspace.rgb_to_hsv(encoded / 255.0)
    lab = colorspace.linear_to_lab(linear)
    total = linear.sum(axis=1)
    chroma = linear[:, :2] / np.where(total > 0, total, np.nan)[:, None]
    bright = linear.min(axis=1) >= LINEAR_FLOOR
    channels = np.empty((len(_CHANNELS), len(rgb)))
    channels[:3] = encoded.T
    channels[3] = lab[:, 1]
    channels[4], channels[5], channels[6] = lab[:, 0], lab[:, 2], hsv[:, 1]
    channels[7:10] = linear.T
    channels[10] = hsv[:, 2]
    channels[11:14] = colorspace.rgb_to_ycbcr(encoded).T
    channels[14:] = chroma.T
    return _Block(
        channels=channels,
        hue=hsv[:, 0],
        saturated_red=colorspace.high_hue(hsv[:, 0], hsv[:, 1]),
        logs=np.log(np.maximum(linear, LINEAR_FLOOR)).T,
        bright=bright,
    )


def _describe(block: _Block, place: slice) -> dict[str, float]:
    """Every key of `_KEYS` for one region."""
    channels = block.channels[:, place]
    if channels.shape[1] < MIN_PIXELS:
        return dict.fromkeys(_KEYS, float("nan"))
    d = len(_DISTRIBUTIONS)
    s = d + len(_SPREADS)
    out: dict[str, float] = {}
    for statistic, row in zip(_MOMENTS, moments(channels[:d]), strict=True):
        out |= {f"{q}.{statistic}": v for q, v in zip(_DISTRIBUTIONS, row.tolist(), strict=True)}
    for statistic, row in zip(_PERCENTILES, percentiles(channels[:d]), strict=True):
        out |= {f"{q}.{statistic}": v for q, v in zip(_DISTRIBUTIONS, row.tolist(), strict=True)}
    bits = entropy(channels[:3], 0.0, 256.0)
    out |= {f"{q}.entropy": v for q, v in zip(("red", "green", "blue"), bits.tolist(), strict=True)}
    for statistic, row in zip(("mean", "std"), mean_and_std(channels[d:s]), strict=True):
        out |= {f"{q}.{statistic}": v for q, v in zip(_SPREADS, row.tolist(), strict=True)}
    means = channels[s:].mean(axis=1)
    out |= {f"{q}.mean": v for q, v in zip((*_MEANS, *_CHROMA), means.tolist(), strict=True)}

    out["hue.mean"], out["hue.std"] = circular_mean_and_std(block.hue[place])
    out["high_hue.share"] = float(block.saturated_red[place].mean())
    out |= _of_means(out)
    out |= _log_features(block.logs[:, place], block.bright[place])
    return {key: out[key] for key in _KEYS}


def _of_means(out: Mapping[str, float]) -> dict[str, float]:
    red, green, blue = (out[f"{c}.mean"] for c in ("red", "green", "blue"))
    index = colorspace.red_green_index(out["linear_red.mean"], out["linear_green.mean"])
    angle = colorspace.individual_typology_angle(out["lab_l.mean"], out["lab_b.mean"])
    return {
        "ratio_rg.of_means": _ratio(red, green),
        "ratio_rb.of_means": _ratio(red, blue),
        "ratio_gb.of_means": _ratio(green, blue),
        "rg_index.of_means": float(index),
        "ita.of_means": float(angle),
    }


def _ratio(numerator: float, denominator: float) -> float:
    return numerator / denominator if denominator > 0 else float("nan")


def _log_features(logs: Floats, bright: NDArray[np.bool_]) -> dict[str, float]:
    """Statistics of log ratios from ``(3, n)`` ln R, ln G, ln B of one region."""
    if not bright.all():
        keep = 2 * np.count_nonzero(bright) >= bright.size
        logs = logs[:, bright] if keep else logs[:, :0]
    ratios = _LOG_PAIRS @ logs
    mean, std, skewness, _ = (m.tolist() for m in moments(ratios))
    quantiles = percentiles(ratios[:2])
    density = -logs.mean(axis=1) if logs.shape[1] >= MIN_PIXELS else np.full(3, np.nan)
    melanin, hemoglobin, _ = colorspace.unmix(density).tolist()
    return {
        "log_rg.mean": mean[0],
        "log_rg.std": std[0],
        "log_rg.skewness": skewness[0],
        **{f"log_rg.{p}": v for p, v in zip(_PERCENTILES, quantiles[:, 0].tolist(), strict=True)},
        "log_gb.mean": mean[1],
        "log_gb.std": std[1],
        "log_gb.p50": float(quantiles[2, 1]),
        "log_rb.mean": mean[2],
        "ei.mean": _DECADE * mean[0],
        "mi.mean": _DECADE * float(density[0]),
        "melanin.mean": melanin,
        "hemoglobin.mean": hemoglobin,
    }


def _quarters(block: _Block) -> dict[str, dict[str, float]]:
    """Log features of the reddest and the palest quarter of a region still.

    Vessels and the tissue between them share camera and light, so their difference is a
    contrast of blood within one picture, without any white reference.
    """
    keep = np.flatnonzero(block.bright)
    if 2 * keep.size < block.bright.size:
        keep = keep[:0]
    order = keep[np.argsort(block.logs[0, keep] - block.logs[1, keep], kind="stable")]
    quarter = order.size // 4
    return {
        place: _log_features(block.logs[:, chosen], block.bright[chosen])
        for place, chosen in zip(
            TISSUE_PAIR, (order[order.size - quarter :], order[:quarter]), strict=True
        )
    }


def _docs() -> tuple[FeatureDoc, ...]:
    of_region = [
        FeatureDoc(
            f"color.{{region}}.{q.name}.{{statistic}}", q.description, q.formula, q.unit, q.source
        )
        for q in QUANTITIES
    ]
    difference = FeatureDoc(
        "color.{region}_minus_{reference}.{quantity}.{statistic}",
        "Difference of a log quantity between two regions of the same picture: the color and "
        "the strength of the light cancel.",
        "quantity(region) - quantity(reference)",
        "that of the quantity",
        "von Kries 1902; lips against sclera after Wemyss et al. 2023, PLOS ONE 18:e0281736",
    )
    return (*of_region, difference)


MODALITY: Final = Modality(
    name="color",
    compute=compute,
    docs=_docs(),
    input_kinds=frozenset(InputKind),
)
