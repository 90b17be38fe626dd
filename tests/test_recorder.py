from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from encoding import write_clip
from pallor.errors import ClipTooLargeError, FaceLostError, NoFaceError, NoFramesError
from pallor.features.quality import check
from pallor.video.recorder import record
from pallor.video.recording import InputKind
from pallor.video.regions import REGIONS, valid_mask
from portrait import portrait, pulsing

FPS = 30
SKIN = ("forehead", "left_cheek", "right_cheek", "nose", "chin", "lips")


def uniform(seconds: float, fps: float = FPS) -> np.ndarray:
    return np.arange(round(seconds * fps)) / fps


def means(path: Path) -> dict[str, np.ndarray]:
    traces = record(path, samples=0).traces
    return {name: np.nanmean(traces.region(name), axis=0) for name in SKIN}


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recorder") / "face.mp4"
    return write_clip(path, pulsing(uniform(8)), crf=14)


def test_one_pass_leaves_all_that_modalities_need(clip: Path) -> None:
    recording = record(clip, crops=True)
    assert recording.input_kind is InputKind.FACE_VIDEO
    assert recording.frames == 240
    assert recording.duration_s == pytest.approx(8.0)
    assert recording.fps == pytest.approx(30.0)
    assert recording.face_coverage == 1.0
    assert recording.warnings == ()
    assert recording.traces.rgb.shape == (240, len(REGIONS), 3)
    assert recording.traces.regions == tuple(REGIONS)
    for name in (*SKIN, "lower_lids", "background"):
        assert np.isfinite(recording.traces.region(name)).all(), name
    assert len(recording.samples) == 16
    gaps = np.diff([sample.time_s for sample in recording.samples])
    assert gaps.max() - gaps.min() <= 2 / FPS + 1e-6
    for sample in recording.samples:
        assert sample.crop is not None
        assert sample.crop.shape == (224, 224, 3)
        assert set(SKIN) <= set(sample.pixels)
    assert len(recording.file_sha256) == len(recording.content_sha256) == 64


def test_region_means_are_those_of_the_pixels(clip: Path) -> None:
    recording = record(clip)
    for name in SKIN:
        trace = recording.traces.region(name).mean(axis=0)
        pixels = np.mean([s.pixels[name].mean(axis=0) for s in recording.samples], axis=0)
        # Means at chroma resolution and pixels of the converted picture see other edges.
        np.testing.assert_allclose(trace, pixels, atol=4.0, err_msg=name)


def test_a_pulse_is_found_at_its_rate(clip: Path) -> None:
    result = check(clip)
    assert result.usable
    assert result.heart_rate_bpm == pytest.approx(72.0, abs=1.0)


def test_a_photograph_has_no_pulse(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "photo.mp4", pulsing(uniform(8), amplitude=0.0), crf=18)
    result = check(path)
    assert not result.usable
    assert [reason.code for reason in result.reasons] == ["no_pulse"]
    assert result.heart_rate_bpm is None


def test_irregular_frame_times_are_honored(tmp_path: Path) -> None:
    # As browsers record: times jitter, and every third frame is left out for the first half.
    rng = np.random.default_rng(1)
    keep = np.array([i >= 150 or i % 3 > 0 for i in range(300)])
    times = (uniform(10) + rng.uniform(0, 0.012, 300))[keep]
    frames = pulsing(times, bpm=90)
    # A browser encodes live: no look ahead, no frame that is never shown.
    live = {"lag-in-frames": "0", "auto-alt-ref": "0", "deadline": "realtime", "cpu-used": "4"}
    path = tmp_path / "browser.webm"
    write_clip(path, frames, codec="libvpx", times_s=list(times), crf=6, options=live)
    result = check(path)
    assert result.frames == keep.sum()
    assert result.duration_s == pytest.approx(10.0, abs=0.1)
    assert result.heart_rate_bpm == pytest.approx(90.0, abs=1.5)


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_a_turned_clip_measures_the_same(tmp_path: Path, rotation: int) -> None:
    upright = write_clip(tmp_path / "a.mp4", pulsing(uniform(1)), crf=10)
    turned = [np.rot90(frame, rotation // 90) for frame in pulsing(uniform(1))]
    sideways = write_clip(tmp_path / "b.mp4", turned, crf=10, rotation=rotation)
    expected, found = means(upright), means(sideways)
    for name in SKIN:
        np.testing.assert_allclose(found[name], expected[name], atol=2.0, err_msg=name)


@pytest.fixture(scope="module")
def unmarked(tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    path = tmp_path_factory.mktemp("unmarked") / "face.mp4"
    return means(write_clip(path, pulsing(uniform(0.5)), crf=4))


@pytest.mark.parametrize("colorspace", ["bt601", "bt709"])
@pytest.mark.parametrize("color_range", ["limited", "full"])
def test_matrix_and_range_do_not_change_colors(
    tmp_path: Path, unmarked: dict[str, np.ndarray], colorspace: str, color_range: str
) -> None:
    path = tmp_path / "marked.mp4"
    frames = pulsing(uniform(0.5))
    write_clip(path, frames, crf=4, colorspace=colorspace, color_range=color_range)
    found = means(path)
    for name in SKIN:
        np.testing.assert_allclose(found[name], unmarked[name], atol=1.5, err_msg=name)


def test_several_faces_the_largest_is_taken_and_said(tmp_path: Path) -> None:
    small = portrait(160)
    frames = []
    for frame in pulsing(uniform(1)):
        both = np.full((240, 400, 3), 128, np.uint8)
        both[:, :240] = frame
        both[40:200, 240:] = small
        frames.append(both)
    recording = record(write_clip(tmp_path / "two.mp4", frames, crf=14), samples=0)
    (warning,) = recording.warnings
    assert warning.code == "several_faces"
    assert np.nanmax(recording.traces.face_center[:, 0]) < 240


def test_a_face_that_leaves_is_measured_where_it_was(tmp_path: Path) -> None:
    gray = np.full((240, 240, 3), 128, np.uint8)
    frames = [*pulsing(uniform(2)), *[gray] * 60]
    recording = record(write_clip(tmp_path / "leaves.mp4", frames, crf=14), samples=0)
    assert recording.face_coverage == pytest.approx(0.5, abs=0.12)
    (warning,) = recording.warnings
    assert warning.code == "face_lost"
    assert np.isnan(recording.traces.rgb[70:]).all()


def test_a_face_for_a_moment_is_too_little(tmp_path: Path) -> None:
    gray = np.full((240, 240, 3), 128, np.uint8)
    frames = [*pulsing(uniform(0.2)), *[gray] * 240]
    with pytest.raises(FaceLostError, match=r"moment\.mp4"):
        record(write_clip(tmp_path / "moment.mp4", frames, crf=14))


def test_no_face_is_said(tmp_path: Path) -> None:
    gray = np.full((96, 96, 3), 128, np.uint8)
    with pytest.raises(NoFaceError, match=r"none\.mp4.*30 frames"):
        record(write_clip(tmp_path / "none.mp4", [gray] * 30))


@pytest.mark.parametrize(
    ("seconds", "fps", "code"), [(2.0, 30.0, "too_short"), (12.0, 5.0, "too_slow")]
)
def test_too_short_and_too_slow_for_a_pulse(
    tmp_path: Path, seconds: float, fps: float, code: str
) -> None:
    times = uniform(seconds, fps)
    path = write_clip(tmp_path / "clip.mp4", pulsing(times), fps=fps, crf=14)
    result = check(path)
    assert [reason.code for reason in result.reasons] == [code]
    assert result.heart_rate_bpm is None


def test_a_still_face_has_color_but_no_pulse(tmp_path: Path) -> None:
    path = tmp_path / "face.png"
    Image.fromarray(portrait()).save(path)
    recording = record(path, crops=True)
    assert recording.input_kind is InputKind.FACE_STILL
    assert (recording.frames, recording.duration_s, recording.fps) == (1, 0.0, 0.0)
    assert len(recording.samples) == 1
    assert [reason.code for reason in check(path).reasons] == ["still_image"]


def test_alpha_is_the_region_and_no_face_is_looked_for(tmp_path: Path) -> None:
    rgba = np.zeros((60, 80, 4), np.uint8)
    rgba[..., :3] = (10, 250, 10)
    rgba[20:40, 10:70] = (170, 80, 70, 255)
    path = tmp_path / "tissue.png"
    Image.fromarray(rgba).save(path)
    recording = record(path, crops=True)
    assert recording.input_kind is InputKind.REGION_STILL
    assert recording.traces.regions == ("tissue",)
    np.testing.assert_allclose(recording.traces.region("tissue")[0], (170, 80, 70))
    (sample,) = recording.samples
    assert len(sample.pixels["tissue"]) == 20 * 60
    assert sample.crop is not None
    assert (sample.crop == (170, 80, 70)).all()


def test_a_region_without_usable_pixels_is_refused(tmp_path: Path) -> None:
    rgba = np.full((30, 30, 4), 255, np.uint8)
    rgba[:5, :5, 3] = 0
    path = tmp_path / "glare.png"
    Image.fromarray(rgba).save(path)
    with pytest.raises(NoFramesError, match=r"glare\.png.*neither dark nor glaring"):
        record(path)


@pytest.mark.slow
def test_the_pixels_of_a_large_region_are_counted_as_those_of_a_small_one(tmp_path: Path) -> None:
    # Larger than what is looked at in one step, with pixels of every kind in each.
    rng = np.random.default_rng(4)
    rgba = rng.integers(0, 256, (1100, 1300, 4), np.uint8)
    Image.fromarray(rgba).save(tmp_path / "large.png", compress_level=1)
    recording = record(tmp_path / "large.png", crops=True)
    pixels = rgba[..., :3][rgba[..., 3] >= 128]
    valid = valid_mask(pixels.astype(np.float32))
    expected = pixels[valid].mean(axis=0)
    assert np.allclose(recording.traces.rgb[0, 0], expected, rtol=1e-6)
    (sample,) = recording.samples
    bright = (~valid & (pixels.max(axis=1) >= 128)).mean()
    assert sample.clipped["tissue"] == pytest.approx(bright)
    assert sample.crop.shape == (224, 224, 3)


def test_a_strip_of_pixels_is_soon_refused(tmp_path: Path) -> None:
    for size in ((1, 2_000_000), (2_000_000, 1), (40_000, 100)):
        Image.new("L", size, 90).save(tmp_path / "strip.png")
        with pytest.raises(NoFaceError):
            record(tmp_path / "strip.png")


def test_what_takes_too_much_memory_is_refused(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_room(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("pallor.video.recorder.measure_face", no_room)
    with pytest.raises(ClipTooLargeError, match="memory"):
        record(clip)


def test_memory_does_not_grow_with_length(tmp_path: Path) -> None:
    code = (
        "import resource, sys; from pallor.video.recorder import record; record(sys.argv[1]);"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )

    def peak_mb(seconds: float) -> float:
        path = write_clip(tmp_path / f"{seconds}.mp4", pulsing(uniform(seconds)), crf=20)
        run = subprocess.run(
            [sys.executable, "-c", code, path], capture_output=True, text=True, check=True
        )
        return int(run.stdout) / 1024

    # The 600 frames more, held as they are decoded, would be 52 MB; their rows are 0.3.
    assert peak_mb(25) - peak_mb(5) < 15


def swaying(seconds: float, hz: float, way_px: float) -> list[np.ndarray]:
    """The portrait going to and fro on gray, as fast as a voluntary shake of the head."""
    still = portrait(240)
    canvas = cv2.copyMakeBorder(still, 0, 0, 80, 80, cv2.BORDER_CONSTANT, value=(128, 128, 128))
    frames = []
    for time_s in uniform(seconds):
        right = way_px * np.sin(2 * np.pi * hz * time_s)
        shift = np.array([[1, 0, right], [0, 1, 0]], np.float32)
        edge = {"borderMode": cv2.BORDER_CONSTANT, "borderValue": (128, 128, 128)}
        frames.append(cv2.warpAffine(canvas, shift, (400, 240), flags=cv2.INTER_CUBIC, **edge))
    return frames


# The last moves twice a second through the middle, where two looks a second see it each time.
@pytest.mark.parametrize(("hz", "way_px"), [(0.1, 10), (0.3, 10), (0.4, 30), (0.9, 10), (1.0, 10)])
def test_keyframes_follow_a_face_that_moves(tmp_path: Path, hz: float, way_px: float) -> None:
    path = write_clip(tmp_path / "sway.mp4", swaying(3, hz, way_px), crf=10)
    every = record(path, samples=0, landmark_interval_s=0.0).traces
    few = record(path, samples=0).traces
    off = np.linalg.norm(few.face_center - every.face_center, axis=1).max()
    assert off < 0.03 * every.face_size.mean()
    # The portrait itself does not change: what its regions vary by is the landmarks' doing.
    for name in SKIN:
        spread, of_every = (t.region(name).std(axis=0).mean() for t in (few, every))
        assert spread < 1.2 * of_every + 0.1, name


def test_a_still_face_is_looked_at_twice_a_second(
    clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pallor.video.face import FaceLandmarker

    calls = []
    landmarks = FaceLandmarker.landmarks

    def counted(self, picture, hint):
        calls.append(hint)
        return landmarks(self, picture, hint)

    monkeypatch.setattr(FaceLandmarker, "landmarks", counted)
    record(clip, samples=0)
    # 8 s: sixteen keyframes, and a few looks at the first.
    assert 16 <= len(calls) <= 22


def test_threads_of_the_decoder_change_nothing(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = record(clip, samples=0, threads=1)
    monkeypatch.setattr("pallor.video.stream.HEAVY_BIT_RATE", 0)
    many = record(clip, samples=0)
    assert one.content_sha256 == many.content_sha256
    assert np.array_equal(one.traces.rgb, many.traces.rgb, equal_nan=True)


@pytest.mark.parametrize(
    ("light", "most", "threads", "kind"),
    [(True, 0, 1, "NONE"), (False, 0, 0, "AUTO"), (False, 3, 3, "AUTO"), (False, 1, 1, "NONE")],
)
def test_heavy_streams_are_decoded_by_several_threads(
    clip: Path, monkeypatch: pytest.MonkeyPatch, light: bool, most: int, threads: int, kind: str
) -> None:
    import av

    from pallor.video import stream

    monkeypatch.setattr(stream, "HEAVY_BIT_RATE", 10**9 if light else 0)
    with av.open(str(clip)) as container:
        video = container.streams.video[0]
        stream._set_threads(video, 8.0, clip.stat().st_size, most)
        assert video.codec_context.thread_count == threads
        assert video.thread_type.name == kind
