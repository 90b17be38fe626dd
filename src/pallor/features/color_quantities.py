"""The quantities that the color modality measures, with their documentation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pallor.features.colorspace import HUE_LIMIT_DEG, SATURATION_FLOOR
from pallor.features.modality import FeatureDoc

MOMENTS = ("mean", "std", "skewness", "kurtosis")
QUARTILES_AND_TAILS = ("p5", "p25", "p50", "p75", "p95")
_ALL = (*MOMENTS, *QUARTILES_AND_TAILS, "entropy", "temporal_std")
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
        "chroma_r",
        ("of_means",),
        "Red chromaticity.",
        "R / (R + G + B) of the linear means",
        "0..1",
        "CIE 15",
    ),
    Quantity(
        "chroma_g",
        ("of_means",),
        "Green chromaticity.",
        "G / (R + G + B) of the linear means",
        "0..1",
        "CIE 15",
    ),
    Quantity(
        "log_rg",
        ("mean", "std", "skewness", *QUARTILES_AND_TAILS, "temporal_std"),
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
        f"|hue| <= {HUE_LIMIT_DEG:g} degrees and saturation > {SATURATION_FLOOR:g}",
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


def documentation() -> tuple[FeatureDoc, ...]:
    """Document every feature of the color modality, one pattern a quantity."""
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
