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
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pallor.features.color_quantities import MOMENTS, QUANTITIES, QUARTILES_AND_TAILS, documentation
from pallor.features.colorspace import (
    LINEAR_FLOOR,
    high_hue,
    individual_typology_angle,
    linear_to_lab,
    red_green_index,
    rgb_to_hsv,
    rgb_to_ycbcr,
    srgb_to_linear,
    unmix,
)
from pallor.features.modality import Modality
from pallor.features.statistics import (
    MIN_PIXELS,
    circular_mean_and_std,
    circular_median,
    entropy,
    mean_and_std,
    means,
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

_SRGB_CHANNELS = ("red", "green", "blue")
_DISTRIBUTIONS = (*_SRGB_CHANNELS, "lab_a")
_SPREADS = ("lab_l", "lab_b", "saturation")
_LINEAR = ("linear_red", "linear_green", "linear_blue")
_MEANS = ("value", *_LINEAR)


def _floored_log(linear: Floats) -> Floats:
    result: Floats = np.log(np.maximum(linear, LINEAR_FLOOR))
    return result


_TOGETHER = 4
"""Samples converted at once: fewer calls, while their channels still fit in a cache."""

_LINEAR_OF_CODE = srgb_to_linear(np.arange(256) / 255.0)
_LOG_OF_CODE = _floored_log(_LINEAR_OF_CODE)
_DECADE = 100.0 / np.log(10.0)


@dataclass(frozen=True)
class _Block:
    """Channels of the pixels of one sample, ``(channels, n)``, regions one after the other."""

    distributions: Floats
    spreads: Floats
    means: Floats
    hue: Floats
    log_rgb: Floats
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
    bounds = [0, block.hue.size]
    described = _plain_features(block, bounds)
    described |= _log_features(block.log_rgb, block.bright, bounds)
    return {key: float(described[key][0]) for key in _KEYS}


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
    parts = TISSUE_PAIR if is_region else ("cheeks",)
    places = (*regions, *parts)

    samples = max(len(recording.samples), 1)
    plain = np.full((samples, len(regions), len(_KEYS)), np.nan)
    logs = np.full((samples, len(places), len(LOG_KEYS)), np.nan)
    looks = [sample.pixels for sample in recording.samples]
    for i in range(0, len(looks), _TOGETHER):
        several = slice(i, i + _TOGETHER)
        _measure(looks[several], places, plain[several], logs[several])

    names = [f"{region}.{key}" for region in regions for key in _KEYS]
    columns = [plain.reshape(samples, -1)]
    if is_region:
        names += [f"{parts[0]}.{key}" for key in LOG_KEYS]
        columns.append(logs[:, len(regions)])
    for a, b in (TISSUE_PAIR,) if is_region else PAIRS:
        names += [f"{a}_minus_{b}.{key}" for key in LOG_KEYS]
        columns.append(logs[:, places.index(a)] - logs[:, places.index(b)])
    table = np.hstack(columns)

    values = dict(zip(names, nan_median(table).tolist(), strict=True))
    moving = [f"{region}.{quantity}" for region in regions for quantity in _TEMPORAL]
    spread = nan_std(table[:, [names.index(f"{m}.mean") for m in moving]])
    values.update(zip((f"{m}.temporal_std" for m in moving), spread.tolist(), strict=True))
    for r, region in enumerate(regions):
        values[f"{region}.hue.mean"] = circular_median(plain[:, r, _KEYS.index("hue.mean")])
    return {f"color.{name}": value for name, value in values.items()}


def _measure(
    looks: Sequence[Mapping[str, NDArray[np.uint8]]],
    places: Sequence[str],
    plain: Floats,
    logs: Floats,
) -> None:
    """Fill ``(samples, regions, keys)`` and ``(samples, places, log keys)`` for some samples.

    What is not visible stays as it is. All regions are converted and reduced together: at a
    thousand pixels a region, the number of calls costs more than the number of pixels.
    """
    regions = places[: plain.shape[1]]
    visible = [
        (i, region)
        for i, pixels in enumerate(looks)
        for region in regions
        if region in pixels and len(pixels[region]) >= MIN_PIXELS
    ]
    if not visible:
        return
    chosen = [looks[i][region] for i, region in visible]
    block = _block(np.concatenate(chosen))
    bounds = np.cumsum([0, *map(len, chosen)]).tolist()
    index = {v: np.arange(a, b) for v, (a, b) in zip(visible, pairwise(bounds), strict=True)}
    index |= _parts(block, index)

    of_all = np.concatenate(list(index.values()))
    log_bounds = np.cumsum([0, *map(len, index.values())]).tolist()
    of_logs = _log_features(block.log_rgb[:, of_all], block.bright[of_all], log_bounds)
    described = _plain_features(block, bounds)
    described |= {key: values[: len(visible)] for key, values in of_logs.items()}
    for out, where, keys, source in (
        (plain, visible, _KEYS, described),
        (logs, list(index), LOG_KEYS, of_logs),
    ):
        rows = [i for i, _ in where]
        columns = [places.index(place) for _, place in where]
        out[rows, columns] = np.array([source[key] for key in keys]).T


def _parts(
    block: _Block, index: Mapping[tuple[int, str], NDArray[np.intp]]
) -> dict[tuple[int, str], NDArray[np.intp]]:
    """Pixels of the places made out of regions, by sample and place.

    Both cheeks together; and of a region still the reddest and the palest quarter: vessels and
    the tissue between them share camera and light, so their difference is a contrast of blood
    within one picture that needs no white reference.
    """
    parts: dict[tuple[int, str], NDArray[np.intp]] = {}
    for i in sorted({i for i, _ in index}):
        cheeks = [index[i, r] for r in ("left_cheek", "right_cheek") if (i, r) in index]
        if cheeks:
            parts[i, "cheeks"] = np.concatenate(cheeks)
        if (i, "tissue") in index:
            inside = index[i, "tissue"]
            usable = inside[block.bright[inside]]
            if 2 * usable.size < inside.size:
                continue
            log_rg = block.log_rgb[0, usable] - block.log_rgb[1, usable]
            order = usable[np.argsort(log_rg, kind="stable")]
            quarter = order.size // 4
            for place, part in zip(
                TISSUE_PAIR, (order[order.size - quarter :], order[:quarter]), strict=True
            ):
                parts[i, place] = part
    return parts


def _block(rgb: NDArray[np.generic]) -> _Block:
    """Convert ``(n, 3)`` pixels into all channels at once."""
    # channel by channel in memory, as every conversion walks along single channels
    codes = np.ascontiguousarray(rgb.T)
    encoded = codes / 255.0
    if codes.dtype == np.uint8:
        linear, log_rgb = _LINEAR_OF_CODE[codes], _LOG_OF_CODE[codes]
    else:
        linear = srgb_to_linear(encoded)
        log_rgb = _floored_log(linear)
    hsv = rgb_to_hsv(encoded.T)
    lab = linear_to_lab(linear.T)
    red = high_hue(hsv[:, 0], hsv[:, 1])
    return _Block(
        distributions=np.vstack([codes, lab[:, 1]]),
        spreads=np.vstack([lab[:, 0], lab[:, 2], hsv[:, 1]]),
        means=np.vstack([hsv[:, 2], linear, red]),
        hue=hsv[:, 0],
        log_rgb=log_rgb,
        bright=np.minimum(np.minimum(linear[0], linear[1]), linear[2]) >= LINEAR_FLOOR,
    )


def _plain_features(block: _Block, bounds: Sequence[int]) -> dict[str, Floats]:
    """Every key of `_KEYS` that needs no logarithm, ``(regions,)`` each."""
    of_all = dict(zip(MOMENTS, moments(block.distributions, bounds), strict=True))
    of_all |= zip(QUARTILES_AND_TAILS, percentiles(block.distributions, bounds=bounds), strict=True)
    out = {f"{q}.{s}": rows[i] for s, rows in of_all.items() for i, q in enumerate(_DISTRIBUTIONS)}
    bits = entropy(block.distributions[:3], 0.0, 256.0, bounds=bounds)
    out |= {f"{q}.entropy": bits[i] for i, q in enumerate(_SRGB_CHANNELS)}
    mean, std = mean_and_std(block.spreads, bounds)
    out |= {f"{q}.mean": mean[i] for i, q in enumerate(_SPREADS)}
    out |= {f"{q}.std": std[i] for i, q in enumerate(_SPREADS)}
    averages = means(block.means, bounds)
    out |= {f"{q}.mean": averages[i] for i, q in enumerate(_MEANS)}
    out["high_hue.share"] = averages[-1]
    # luma and color differences are linear in R'G'B', so their means are those of the means
    ycbcr = rgb_to_ycbcr(np.array([out[f"{c}.mean"] for c in _SRGB_CHANNELS]).T)
    out |= {f"{q}.mean": ycbcr[:, i] for i, q in enumerate(("luma", "cb", "cr"))}
    out["hue.mean"], out["hue.std"] = circular_mean_and_std(block.hue, bounds)

    red, green, blue = (
        np.where(out[f"{c}.mean"] > 0, out[f"{c}.mean"], np.nan) for c in _SRGB_CHANNELS
    )
    out["ratio_rg.of_means"] = red / green
    out["ratio_rb.of_means"] = red / blue
    out["ratio_gb.of_means"] = green / blue
    light = sum(out[f"{c}.mean"] for c in _LINEAR)
    light = np.where(light > 0, light, np.nan)
    out["chroma_r.of_means"] = out["linear_red.mean"] / light
    out["chroma_g.of_means"] = out["linear_green.mean"] / light
    out["rg_index.of_means"] = red_green_index(out["linear_red.mean"], out["linear_green.mean"])
    out["ita.of_means"] = individual_typology_angle(out["lab_l.mean"], out["lab_b.mean"])
    return out


def _log_features(
    log_rgb: Floats, bright: NDArray[np.bool_], bounds: Sequence[int]
) -> dict[str, Floats]:
    """Every key of `_KEYS` that is made of logarithms, ``(regions,)`` each."""
    if not bright.all():
        counts = np.diff(bounds)
        kept = np.array([bright[a:b].sum() for a, b in pairwise(bounds)])
        stands = 2 * kept >= counts
        use = bright & np.repeat(stands, counts)
        log_rgb = log_rgb[:, use]
        bounds = np.cumsum([0, *np.where(stands, kept, 0)]).tolist()
    ratios = log_rgb[:2] - log_rgb[1:]
    (rg,), (rg_std,), (rg_skewness,), _ = moments(ratios[:1], bounds)
    (gb,), (gb_std,) = mean_and_std(ratios[1:], bounds)
    quantiles = percentiles(ratios, bounds=bounds)
    density = -means(log_rgb, bounds)
    melanin, hemoglobin, _ = unmix(density.T).T
    return {
        "log_rg.mean": rg,
        "log_rg.std": rg_std,
        "log_rg.skewness": rg_skewness,
        **{f"log_rg.{p}": quantiles[i, 0] for i, p in enumerate(QUARTILES_AND_TAILS)},
        "log_gb.mean": gb,
        "log_gb.std": gb_std,
        "log_gb.p50": quantiles[QUARTILES_AND_TAILS.index("p50"), 1],
        "log_rb.mean": rg + gb,
        "ei.mean": _DECADE * rg,
        "mi.mean": _DECADE * density[0],
        "melanin.mean": melanin,
        "hemoglobin.mean": hemoglobin,
    }


MODALITY: Final = Modality(
    name="color",
    compute=compute,
    docs=documentation(),
    input_kinds=frozenset(InputKind),
)
