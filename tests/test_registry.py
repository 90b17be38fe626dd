from __future__ import annotations

import dataclasses
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pallor.errors import ClipError, StillImageError, UsageError
from pallor.features import registry
from pallor.features.documentation import render_documentation
from pallor.features.modality import FeatureDoc, Modality
from pallor.features.statistics import STATISTICS
from pallor.video.recording import InputKind, Recording, Sample
from pallor.video.regions import REGIONS
from pallor.video.traces import Traces


def recording_of(kind: InputKind, samples: int = 1) -> Recording:
    rng = np.random.default_rng(0)
    places = ("tissue",) if kind is InputKind.REGION_STILL else tuple(REGIONS)
    looks = tuple(
        Sample(i / 3, None, {p: rng.integers(20, 220, (50, 3), np.uint8) for p in places}, {})
        for i in range(samples)
    )
    empty = np.zeros((0, 0), np.float32)
    traces = Traces((), np.zeros(0), np.zeros((0, 0, 3), np.float32), empty, empty, empty)
    return Recording("a.png", kind, False, 1, 0.0, 0.0, 1.0, traces, looks, "", "")


@pytest.fixture
def toys(monkeypatch):
    """Two small modalities in place of the real ones, 'first' before 'second'."""

    def toy(name, values, **kwargs):
        kinds = kwargs.pop("kinds", frozenset(InputKind))
        docs = (FeatureDoc(f"{name}.{{place}}.x", "", "", "1", ""),)
        return lambda _settings: Modality(name, lambda _: dict(values), docs, kinds, **kwargs)

    modalities = {
        "first": toy("first", {"first.a.x": 1 / 3, "first.b.x": 1e300, "first.c.x": -math.inf}),
        "second": toy("second", {"second.a.x": math.nan}),
        "moving": toy("moving", {}, kinds=frozenset({InputKind.FACE_VIDEO})),
        "still": toy("still", {}, kinds=frozenset({InputKind.FACE_STILL})),
        "cropped": toy("cropped", {"cropped.a.x": 1.0}, needs_crops=True),
    }
    monkeypatch.setattr(registry, "MODALITIES", modalities)


@pytest.mark.parametrize("kind", InputKind)
def test_each_color_feature_matches_exactly_one_pattern(kind):
    for name in registry.compute_features(recording_of(kind), ["color"]):
        modality, _, quantity, statistic = name.split(".")
        doc = registry.match_doc(name)
        assert modality == "color"
        assert statistic in STATISTICS
        assert f".{quantity}." in doc.pattern or "_minus_" in name


@pytest.mark.parametrize("kind", InputKind)
def test_each_documented_color_pattern_has_a_feature(kind):
    names = registry.compute_features(recording_of(kind), ["color"])
    used = {registry.match_doc(name).pattern for name in names}
    assert used == {doc.pattern for doc in registry.documentation(["color"])}


def test_documentation_is_complete_in_every_field():
    for doc in registry.documentation(["color"]):
        assert all(dataclasses.astuple(doc)), doc.pattern


@pytest.mark.parametrize("kind", InputKind)
def test_values_are_exact_in_float32(kind):
    values = registry.compute_features(recording_of(kind, samples=3), ["color"]).values()
    assert all(type(v) is float for v in values)
    assert all(math.isnan(v) or float(np.float32(v)) == v for v in values)


def test_values_that_float32_cannot_hold_are_nan(toys):
    got = registry.compute_features(recording_of(InputKind.FACE_STILL), ["first"])
    assert got["first.a.x"] == float(np.float32(1 / 3))
    assert math.isnan(got["first.b.x"])
    assert math.isnan(got["first.c.x"])


def test_order_is_that_of_the_registry_however_one_asks(toys):
    one = registry.compute_features(recording_of(InputKind.FACE_STILL), ["first", "second"])
    other = registry.compute_features(
        recording_of(InputKind.FACE_STILL), ["second", "first", "second"]
    )
    assert list(one) == list(other) == ["first.a.x", "first.b.x", "first.c.x", "second.a.x"]


def test_unknown_modality_names_the_known_ones():
    with pytest.raises(UsageError, match=r"'colour'.*choose from color, pulse"):
        registry.compute_features(recording_of(InputKind.FACE_STILL), ["color", "colour"])
    with pytest.raises(UsageError, match="'nope'"):
        registry.documentation(["nope"])


def test_no_modality_is_refused():
    with pytest.raises(UsageError, match="no modality"):
        registry.compute_features(recording_of(InputKind.FACE_STILL), [])


@pytest.mark.parametrize("kind", [InputKind.FACE_STILL, InputKind.REGION_STILL])
def test_a_still_is_refused_where_a_video_is_needed(toys, kind):
    with pytest.raises(StillImageError, match=r"a\.png.*'moving'"):
        registry.compute_features(recording_of(kind), ["first", "moving"])


def test_another_kind_that_a_modality_does_not_know_is_refused(toys):
    with pytest.raises(ClipError, match=r"a\.png.*'still'.*face video"):
        registry.compute_features(recording_of(InputKind.FACE_VIDEO), ["still"])


def test_missing_crops_are_said(toys):
    recording = recording_of(InputKind.FACE_STILL)
    with pytest.raises(UsageError, match="crops"):
        registry.compute_features(recording, ["cropped"])
    crop = np.zeros((224, 224, 3), np.uint8)
    with_crops = tuple(dataclasses.replace(s, crop=crop) for s in recording.samples)
    recording = dataclasses.replace(recording, samples=with_crops)
    assert registry.compute_features(recording, ["cropped"]) == {"cropped.a.x": 1.0}


@pytest.mark.parametrize(
    "name", ["color.lips.nothing.mean", "color.lips.red", "nope.a.b.c", "color.a.b.red.mean", ""]
)
def test_a_name_that_no_pattern_matches_is_a_key_error(name):
    with pytest.raises(KeyError, match="should match one"):
        registry.match_doc(name)


def test_a_placeholder_stands_for_one_side_of_a_difference():
    assert registry.match_doc("color.lips.log_rg.mean").pattern == (
        "color.{region}.log_rg.{statistic}"
    )
    assert registry.match_doc("color.lips_minus_sclera.log_rg.mean").pattern == (
        "color.{region}_minus_{reference}.{quantity}.{statistic}"
    )


def test_a_still_has_no_pulse():
    pytest.importorskip("pallor.features.pulse")
    with pytest.raises(StillImageError, match=r"a\.png.*'pulse'"):
        registry.compute_features(recording_of(InputKind.FACE_STILL), ["color", "pulse"])


def test_color_loads_without_pulse():
    code = (
        "import sys; from pallor.features.registry import documentation; documentation(['color']);"
        "sys.exit('pallor.features.pulse' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_reference_on_disk_is_up_to_date():
    path = Path(__file__).resolve().parents[1] / "docs" / "features.md"
    assert path.read_text(encoding="utf-8") == render_documentation(), (
        "run python -m pallor.features.documentation > docs/features.md"
    )


def test_the_reference_says_every_pattern_and_statistic():
    text = render_documentation(["color"])
    for doc in registry.documentation(["color"]):
        assert f"`{doc.pattern}`" in text
    for statistic in STATISTICS:
        assert f"`{statistic}`" in text
