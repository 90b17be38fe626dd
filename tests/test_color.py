from __future__ import annotations

import math
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pallor.features import color, statistics
from pallor.features.colorspace import linear_to_srgb, srgb_to_linear
from pallor.video.recording import InputKind, Recording, Sample
from pallor.video.regions import REGIONS
from pallor.video.traces import Traces


def recording_of(samples, kind=InputKind.FACE_VIDEO) -> Recording:
    n, empty = len(samples), np.zeros((0, 0), np.float32)
    traces = Traces((), np.zeros(0), np.zeros((0, 0, 3), np.float32), empty, empty, empty[0:0, 0:0])
    looks = tuple(Sample(i / 3, None, pixels, {}) for i, pixels in enumerate(samples))
    return Recording("clip", kind, False, n, n / 3, 3.0, 1.0, traces, looks, "", "")


def face(seed=0, n=300, samples=4):
    """Linear pixels, floating point, well inside the range, shaded region by region."""
    rng = np.random.default_rng(seed)
    out = []
    for _ in range(samples):
        look = {}
        for i, region in enumerate(REGIONS):
            tint = np.array([0.30, 0.16, 0.12]) * (1 + 0.05 * np.array([i % 3, i % 4, i % 5]))
            shade = rng.uniform(0.5, 1.0, (n, 1))
            look[region] = tint * shade * rng.uniform(0.9, 1.1, (n, 3))
        out.append(look)
    return out


def encoded(looks, gain=(1.0, 1.0, 1.0)):
    return [
        {r: 255.0 * linear_to_srgb(x * np.asarray(gain)) for r, x in look.items()} for look in looks
    ]


@given(st.integers(0, 2**32 - 1), st.integers(20, 200))
@settings(max_examples=25, deadline=None)
def test_statistics_agree_with_scipy_and_numpy(seed, n):
    stats = pytest.importorskip("scipy.stats")
    x = np.random.default_rng(seed).gamma(2.0, 30.0, (4, n))
    mean, std, skewness, kurtosis = statistics.moments(x)
    np.testing.assert_allclose(mean[:, 0], x.mean(axis=1))
    np.testing.assert_allclose(std[:, 0], x.std(axis=1))
    np.testing.assert_allclose(skewness[:, 0], stats.skew(x, axis=1), atol=1e-9)
    np.testing.assert_allclose(kurtosis[:, 0], stats.kurtosis(x, axis=1), atol=1e-9)
    np.testing.assert_allclose(
        statistics.percentiles(x)[:, :, 0], np.percentile(x, (5, 25, 50, 75, 95), axis=1)
    )
    for i, row in enumerate(x):
        p = np.histogram(np.clip(row, 0, 255.999), bins=32, range=(0, 256))[0]
        expected = stats.entropy(p, base=2)
        assert statistics.entropy(x, 0, 256)[i, 0] == pytest.approx(expected, abs=1e-9)
    angles = x[0] * 0.5 - 20
    got = statistics.circular_mean_and_std(angles)
    assert got[0][0] == pytest.approx(stats.circmean(angles, high=180, low=-180))
    assert got[1][0] == pytest.approx(stats.circstd(angles, high=180, low=-180))


@given(st.lists(st.integers(0, 60), min_size=1, max_size=6), st.integers(0, 99))
@settings(deadline=None)
def test_regions_side_by_side_give_what_each_gives_alone(sizes, seed):
    bounds = np.cumsum([0, *sizes]).tolist()
    x = np.random.default_rng(seed).uniform(-100, 300, (3, bounds[-1]))
    together = (
        *statistics.moments(x, bounds),
        statistics.means(x, bounds),
        *statistics.mean_and_std(x, bounds),
        *statistics.percentiles(x, bounds=bounds),
        statistics.entropy(x, 0, 256, bounds=bounds),
        *statistics.circular_mean_and_std(x[0], bounds),
    )
    for i, (a, b) in enumerate(pairwise(bounds)):
        one = x[:, a:b]
        alone = (
            *statistics.moments(one),
            statistics.means(one),
            *statistics.mean_and_std(one),
            *statistics.percentiles(one),
            statistics.entropy(one, 0, 256),
            *statistics.circular_mean_and_std(one[0]),
        )
        for both, single in zip(together, alone, strict=True):
            np.testing.assert_allclose(both[..., i], single[..., 0], rtol=1e-9, atol=1e-9)
            assert np.isnan(single).all() or sizes[i] >= statistics.MIN_PIXELS


def test_bounds_that_do_not_cover_the_pixels_are_refused():
    for bounds in ([0, 10], [5, 30], [0, 40, 30]):
        with pytest.raises(ValueError, match="bounds"):
            statistics.means(np.zeros((1, 30)), bounds)


def test_a_constant_has_no_skewness_and_no_entropy():
    x = np.full((1, 50), 0.1)
    _, std, skewness, kurtosis = statistics.moments(x)
    assert std[0, 0] < 1e-15
    assert np.isnan(skewness).all()
    assert np.isnan(kurtosis).all()
    assert statistics.entropy(x, 0, 1)[0, 0] == 0.0


def test_entropy_of_evenly_filled_bins_is_five_bits():
    assert statistics.entropy(np.arange(256.0)[None], 0, 256)[0, 0] == pytest.approx(5.0)


@given(st.floats(-720, 720), st.floats(0, 60))
@settings(deadline=None)
def test_circular_mean_ignores_whole_turns_and_the_seam(center, width):
    angles = center + np.linspace(-width, width, 41)
    mean, std = statistics.circular_mean_and_std(np.mod(angles, 360))
    assert statistics.signed_degrees(mean[0] - center) == pytest.approx(0, abs=1e-6)
    resultant = np.cos(np.radians(np.linspace(-width, width, 41))).mean()
    expected = math.degrees(math.sqrt(max(-2 * math.log(resultant), 0.0)))
    assert std[0] == pytest.approx(expected, abs=1e-5)
    assert -180 < mean[0] <= 180


def test_opposite_angles_have_no_mean():
    mean, std = statistics.circular_mean_and_std(np.tile([10.0, 190.0], 20))
    assert np.isnan([mean[0], std[0]]).all()
    assert math.isnan(statistics.circular_median([0.0, 180.0]))


def test_circular_median_across_the_seam():
    assert statistics.circular_median([350.0, 358.0, 10.0, np.nan]) == pytest.approx(-2.0)
    assert math.isnan(statistics.circular_median([np.nan]))


def test_median_and_spread_over_samples_leave_out_nan():
    x = np.array([[1.0, np.nan, 5.0], [2.0, np.nan, np.nan], [9.0, np.nan, 6.0], [4, np.nan, 7]])
    np.testing.assert_allclose(statistics.nan_median(x), [3.0, np.nan, 6.0])
    expected = [np.std([1, 2, 9, 4], ddof=1), np.nan, 1.0]
    np.testing.assert_allclose(statistics.nan_std(x), expected)
    assert np.isnan(statistics.nan_std(x[:2])).all()


def test_constant_region_closed_form():
    rgb = np.tile(np.array([200, 120, 100], np.uint8), (50, 1))
    got = color.region_features(rgb)
    r, g, b = srgb_to_linear(np.array([200, 120, 100]) / 255)
    assert got["red.mean"] == 200
    assert got["green.p95"] == 120
    assert got["linear_blue.mean"] == pytest.approx(b)
    assert got["log_rg.mean"] == pytest.approx(math.log(r / g))
    assert got["log_gb.p50"] == pytest.approx(math.log(g / b))
    assert got["log_rb.mean"] == pytest.approx(math.log(r / b))
    assert got["ei.mean"] == pytest.approx(100 * math.log10(r / g))
    assert got["mi.mean"] == pytest.approx(-100 * math.log10(r))
    assert got["hue.mean"] == pytest.approx(60 * 20 / 100)
    assert got["saturation.mean"] == pytest.approx(0.5)
    assert got["value.mean"] == pytest.approx(200 / 255)
    assert got["chroma_r.of_means"] == pytest.approx(r / (r + g + b))
    assert got["ratio_rb.of_means"] == pytest.approx(2.0)
    assert got["luma.mean"] == pytest.approx(0.299 * 200 + 0.587 * 120 + 11.4)
    assert got["high_hue.share"] == 1.0
    assert got["red.entropy"] == 0.0
    assert math.isnan(got["red.skewness"])


@given(st.integers(0, 999))
@settings(max_examples=20, deadline=None)
def test_codes_and_the_same_values_in_floating_point_agree(seed):
    rgb = np.random.default_rng(seed).integers(0, 256, (60, 3), dtype=np.uint8)
    a, b = color.region_features(rgb), color.region_features(rgb.astype(np.float64))
    for key, value in a.items():
        np.testing.assert_allclose(value, b[key], rtol=1e-9, atol=1e-9, err_msg=key)


@given(st.integers(0, 999))
@settings(max_examples=20, deadline=None)
def test_order_of_pixels_does_not_matter(seed):
    rng = np.random.default_rng(seed)
    rgb = rng.integers(0, 256, (60, 3), dtype=np.uint8)
    a, b = color.region_features(rgb), color.region_features(rng.permutation(rgb))
    for key, value in a.items():
        np.testing.assert_allclose(value, b[key], rtol=1e-9, atol=1e-9, err_msg=key)


def test_one_region_alone_gives_what_it_gives_in_a_face():
    rng = np.random.default_rng(3)
    looks = [{r: rng.integers(30, 250, (40 + 7 * i, 3), np.uint8) for i, r in enumerate(REGIONS)}]
    got = color.compute(recording_of(looks, InputKind.FACE_STILL))
    for region, pixels in looks[0].items():
        for key, value in color.region_features(pixels).items():
            np.testing.assert_allclose(got[f"color.{region}.{key}"], value, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("gain", [(0.6, 1.0, 1.5), (1.8, 0.9, 0.5)])
def test_a_gain_per_channel_leaves_differences_between_regions(gain):
    before = color.compute(recording_of(encoded(face())))
    after = color.compute(recording_of(encoded(face(), gain)))
    names = [n for n in before if "_minus_" in n]
    assert len(names) == len(color.PAIRS) * len(color.LOG_KEYS)
    for name in names:
        assert after[name] == pytest.approx(before[name], abs=1e-6), name
    moved = abs(after["color.lips.log_rg.mean"] - before["color.lips.log_rg.mean"])
    assert moved == pytest.approx(abs(math.log(gain[0] / gain[1])), abs=1e-6)


def test_exposure_leaves_log_ratios_of_each_region():
    before = color.compute(recording_of(encoded(face())))
    after = color.compute(recording_of(encoded(face(), (0.5, 0.5, 0.5))))
    kinds = ("log_rg", "log_gb", "log_rb", "ei", "melanin", "hemoglobin", "rg_index", "chroma_r")
    names = [n for n in before if n.split(".")[2] in kinds]
    assert len(names) > 9 * 14
    for name in names:
        assert after[name] == pytest.approx(before[name], abs=1e-6), name
    shift = after["color.nose.mi.mean"] - before["color.nose.mi.mean"]
    assert shift == pytest.approx(100 * math.log10(2), abs=1e-6)


def test_difference_is_that_of_the_regions_and_cheeks_pool_both_sides():
    looks = encoded(face(samples=1))
    looks[0]["left_cheek"] = looks[0]["left_cheek"][:100]
    got = color.compute(recording_of(looks, InputKind.FACE_STILL))
    lips, sclera, left, right = (
        got[f"color.{r}.log_rg.mean"] for r in ("lips", "sclera", "left_cheek", "right_cheek")
    )
    assert got["color.lips_minus_sclera.log_rg.mean"] == pytest.approx(lips - sclera)
    pooled = (100 * left + 300 * right) / 400
    assert got["color.lips_minus_cheeks.log_rg.mean"] == pytest.approx(lips - pooled)


def test_one_cheek_in_view_stands_for_both():
    looks = encoded(face(samples=1))
    del looks[0]["left_cheek"]
    got = color.compute(recording_of(looks, InputKind.FACE_STILL))
    expected = got["color.lips.ei.mean"] - got["color.right_cheek.ei.mean"]
    assert got["color.lips_minus_cheeks.ei.mean"] == pytest.approx(expected)
    assert math.isnan(got["color.left_cheek.ei.mean"])


def test_a_region_out_of_view_is_nan_and_the_others_stay():
    looks = encoded(face())
    whole = color.compute(recording_of(looks))
    for look in looks:
        del look["sclera"]
    got = color.compute(recording_of(looks))
    assert list(got) == list(whole)
    for name, value in got.items():
        if "sclera" in name:
            assert math.isnan(value), name
        else:
            assert value == pytest.approx(whole[name], nan_ok=True), name


def test_a_region_hidden_in_one_sample_is_measured_in_the_others():
    looks = encoded(face())
    del looks[1]["lips"]
    got = color.compute(recording_of(looks))
    rest = color.compute(recording_of([looks[i] for i in (0, 2, 3)]))
    for name in (n for n in got if n.startswith("color.lips")):
        assert got[name] == pytest.approx(rest[name], nan_ok=True), name


@pytest.mark.parametrize("kind", InputKind)
def test_names_depend_on_the_kind_of_input_alone(kind):
    region = kind is InputKind.REGION_STILL
    pixels = np.random.default_rng(1).integers(20, 220, (400, 3), np.uint8)
    full = [{"tissue": pixels}] if region else [dict.fromkeys(REGIONS, pixels)] * 5
    names = list(color.compute(recording_of(full, kind)))
    for other in ([], [{}], [{next(iter(full[0])): pixels[:5]}]):
        got = color.compute(recording_of(other, kind))
        assert list(got) == names
        assert np.isnan(list(got.values())).all()
    assert len(set(names)) == len(names)
    per_region = {n.split(".")[1] for n in names}
    assert ("tissue" in per_region) == region


def test_spread_over_time_is_that_of_the_means_and_absent_in_a_still():
    looks = encoded(face(samples=5))
    got = color.compute(recording_of(looks))
    means = [color.region_features(look["lips"])["log_rg.mean"] for look in looks]
    expected = np.std(means, ddof=1)
    assert got["color.lips.log_rg.temporal_std"] == pytest.approx(expected)
    assert got["color.lips.log_rg.mean"] == pytest.approx(np.median(means))
    still = color.compute(recording_of(looks[:1], InputKind.FACE_STILL))
    assert all(math.isnan(v) for n, v in still.items() if n.endswith("temporal_std"))


def test_pixels_below_the_noise_floor_do_not_enter_logarithms():
    skin = np.tile([180.0, 120.0, 90.0], (60, 1))
    dark = np.tile([180.0, 120.0, 1.0], (40, 1))
    mixed = color.region_features(np.concatenate([skin, dark]))
    pure = color.region_features(skin)
    for key in ("log_rg.mean", "log_rb.mean", "melanin.mean", "hemoglobin.mean", "mi.mean"):
        assert mixed[key] == pytest.approx(pure[key]), key
    assert mixed["blue.mean"] == pytest.approx(0.6 * 90 + 0.4)
    mostly_dark = color.region_features(np.concatenate([skin, dark, dark]))
    assert all(
        math.isnan(v) for k, v in mostly_dark.items() if k.startswith(("log_", "ei", "hemo"))
    )
    assert mostly_dark["red.mean"] == pytest.approx(180)


def test_too_few_pixels_are_nan_throughout():
    rng = np.random.default_rng(0)
    enough = rng.integers(30, 200, (statistics.MIN_PIXELS, 3), np.uint8)
    assert not np.isnan(list(color.region_features(enough).values())).any()
    assert np.isnan(list(color.region_features(enough[1:]).values())).all()


def test_black_and_white_regions_give_numbers_or_nan_without_warnings():
    with np.errstate(all="raise"):
        black = color.region_features(np.zeros((30, 3), np.uint8))
        white = color.region_features(np.full((30, 3), 255, np.uint8))
    assert math.isnan(black["log_rg.mean"])
    assert math.isnan(black["ratio_rg.of_means"])
    assert math.isnan(black["chroma_r.of_means"])
    assert white["log_rg.mean"] == 0.0
    assert math.isnan(white["hue.mean"])
    assert not np.isinf([*black.values(), *white.values()]).any()


def test_contrast_within_a_region_still_survives_the_color_of_the_light():
    rng = np.random.default_rng(2)
    pixels = np.array([0.3, 0.12, 0.1]) * rng.uniform(0.7, 1.3, (500, 3))
    pair = "color.tissue_reddest_minus_tissue_palest."
    before, after = (
        color.compute(recording_of(encoded([{"tissue": pixels}], gain), InputKind.REGION_STILL))
        for gain in ((1.0, 1.0, 1.0), (0.7, 1.0, 1.4))
    )
    log_rg = np.sort(np.log(pixels[:, 0] / pixels[:, 1]))
    expected = log_rg[-125:].mean() - log_rg[:125].mean()
    assert before[pair + "log_rg.mean"] == pytest.approx(expected)
    for key in color.LOG_KEYS:
        assert after[pair + key] == pytest.approx(before[pair + key], abs=1e-6)


def test_more_blood_raises_hemoglobin_and_more_melanin_raises_melanin():
    base = np.array([0.34, 0.24, 0.185])
    blood = base * np.exp(-0.2 * np.array([0.24, 0.42, 0.39]))
    melanin = base * np.exp(-0.02 * np.array([4.3, 6.5, 10.8]))
    plain, more_blood, more_melanin = (
        color.region_features(255 * linear_to_srgb(np.tile(x, (30, 1))))
        for x in (base, blood, melanin)
    )
    assert more_blood["hemoglobin.mean"] - plain["hemoglobin.mean"] == pytest.approx(0.2, rel=0.1)
    assert abs(more_blood["melanin.mean"] - plain["melanin.mean"]) < 0.001
    assert more_melanin["melanin.mean"] - plain["melanin.mean"] == pytest.approx(0.02, rel=0.1)
    assert abs(more_melanin["hemoglobin.mean"] - plain["hemoglobin.mean"]) < 0.03


def test_neither_scipy_nor_scikit_image_is_imported():
    code = (
        "import sys, numpy as np; from pallor.features import color;"
        "color.region_features(np.full((30, 3), 99, np.uint8));"
        "heavy = {'scipy', 'skimage', 'cv2', 'pandas', 'PIL', 'av'};"
        "sys.exit(bool(heavy & {m.split('.')[0] for m in sys.modules}))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
