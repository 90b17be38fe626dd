from __future__ import annotations

import itertools
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from encoding import write_clip, yuv_frame
from pallor.video.clip import open_clip
from pallor.video.frame import Frame
from pallor.video.orientation import EXIF_ORIENTATIONS, UPRIGHT, Orientation, from_display_matrix
from pallor.video.yuv import LAYOUTS, VideoPicture, affine, matrix_of

COLORS = [(200, 60, 50), (40, 180, 70), (30, 60, 220), (222, 180, 150), (128, 128, 128),
          (255, 255, 255), (0, 0, 0), (90, 55, 40)]  # fmt: skip
WEIGHTS = {"bt601": (0.299, 0.587, 0.114), "bt709": (0.2126, 0.7152, 0.0722),
           "bt2020": (0.2627, 0.6780, 0.0593)}  # fmt: skip
CODES = {"bt601": 6, "bt709": 1, "bt2020": 9}


def to_yuv(rgb, matrix: str, full: bool, bits: int = 8) -> np.ndarray:
    """The definition, forward (BT.601-7, 709-6, 2020-2): written apart from what is tested."""
    r, g, b = (np.asarray(rgb, float)[..., i] / 255 for i in range(3))
    kr, kg, kb = WEIGHTS[matrix]
    y = kr * r + kg * g + kb * b
    cb, cr = (b - y) / (2 * (1 - kb)), (r - y) / (2 * (1 - kr))
    top = 2**bits - 1
    unit = 2 ** (bits - 8)
    if full:
        return np.stack([top * y, top * cb + 128 * unit, top * cr + 128 * unit], -1)
    return unit * np.stack([219 * y + 16, 224 * cb + 128, 224 * cr + 128], -1)


def flat(yuv, width: int = 64, height: int = 48, pix_fmt: str = "yuv420p") -> av.VideoFrame:
    y, u, v = np.rint(yuv).astype(int)
    whole, half = (height, width), (height // 2, width // 2)
    return yuv_frame(
        [np.full(whole, y, np.uint8), np.full(half, u, np.uint8), np.full(half, v, np.uint8)],
        pix_fmt,
    )


def picture(frame: av.VideoFrame, orientation: Orientation = UPRIGHT) -> Frame:
    return Frame(0, 0.0, VideoPicture(frame, orientation))


def block_means(rgb: np.ndarray, scale: int) -> np.ndarray:
    rows, columns = rgb.shape[0] // scale, rgb.shape[1] // scale
    whole = rgb[: rows * scale, : columns * scale].astype(float)
    return whole.reshape(rows, scale, columns, scale, 3).mean(axis=(1, 3))


# --- matrix and range -----------------------------------------------------------------------


@pytest.mark.parametrize("bits", [8, 10, 12])
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("matrix", WEIGHTS)
def test_the_conversion_inverts_the_definition(matrix, full, bits):
    rgb = np.array(list(itertools.product((0, 17, 128, 255), repeat=3)), float)
    yuv = to_yuv(rgb, matrix, full, bits)
    back = np.column_stack([yuv, np.ones(len(yuv))]) @ affine(CODES[matrix], full, bits).T
    assert np.abs(back - rgb).max() < 2e-3


@pytest.mark.parametrize("color_range", ["limited", "full"])
@pytest.mark.parametrize("matrix", WEIGHTS)
@pytest.mark.parametrize(
    ("container", "codec"), [("mp4", "libx264"), ("mkv", "libx265"), ("webm", "libvpx-vp9")]
)
def test_marked_clips_come_in_the_color_that_went_in(
    tmp_path, container, codec, matrix, color_range
):
    options = {"libx264": {"qp": 0}, "libx265": {"crf": 4}, "libvpx-vp9": {"crf": 4}}[codec]
    frames = [flat(to_yuv(color, matrix, color_range == "full")) for color in COLORS]
    path = write_clip(
        tmp_path / f"c.{container}",
        frames,
        codec=codec,
        colorspace=matrix,
        color_range=color_range,
        **options,
    )
    with open_clip(path) as clip:
        for frame, color in zip(clip, COLORS, strict=True):
            assert np.abs(frame.rgb().astype(float) - color).max() <= 3
            assert np.abs(frame.reduced().rgb - color).max() <= 3


@pytest.mark.parametrize(
    ("size", "matrix"),
    [((640, 480), "bt601"), ((480, 640), "bt601"), ((720, 576), "bt601"), ((640, 360), "bt601"),
     ((1280, 720), "bt709"), ((720, 1280), "bt709"), ((960, 600), "bt709")],
)  # fmt: skip
def test_an_unmarked_clip_is_601_when_small_and_709_when_large(tmp_path, size, matrix):
    color = (200, 90, 60)
    frame = flat(to_yuv(color, matrix, full=False), *size)
    path = write_clip(tmp_path / "u.mp4", [frame], qp=0)
    with open_clip(path) as clip:
        rgb = next(iter(clip)).rgb()
    assert np.abs(rgb.astype(float) - color).max() <= 2
    assert matrix_of(2, *size) == CODES[matrix]


def test_motion_jpeg_is_601_full_range_whatever_its_size(tmp_path):
    color = (200, 90, 60)
    frame = flat(to_yuv(color, "bt601", full=True), 1280, 720, "yuvj420p")
    path = write_clip(tmp_path / "j.avi", [frame], codec="mjpeg")
    with open_clip(path) as clip:
        rgb = next(iter(clip)).rgb()
    assert np.abs(rgb.astype(float) - color).max() <= 3


def test_a_wrong_matrix_or_range_would_be_noticed():
    # Each patch tells the conventions apart by more than twice the 3 levels tolerated above.
    for color in COLORS[:3]:
        yuv = np.append(to_yuv(color, "bt601", full=False), 1.0)
        assert np.abs(affine(1, False) @ yuv - color).max() > 6
        assert np.abs(affine(6, True) @ yuv - color).max() > 6


# --- formats --------------------------------------------------------------------------------


def stored(values: np.ndarray, pix_fmt: str) -> list[np.ndarray]:
    """Planes of a format from 4:4:4 samples of its depth, by plain averages."""
    layout = LAYOUTS[pix_fmt]
    height, width = values.shape[:2]
    dtype = np.uint8 if layout.bits == 8 else np.uint16
    sx, sy = layout.step_x, layout.step_y

    def plane(i: int, sx: int, sy: int) -> np.ndarray:
        mean = values[..., i].reshape(height // sy, sy, width // sx, sx).mean(axis=(1, 3))
        return np.rint(mean).astype(dtype) << layout.shift

    luma = plane(0, 1, 1)
    if layout.gray:
        return [luma]
    u, v = plane(1, sx, sy), plane(2, sx, sy)
    if layout.interleaved:
        return [luma, np.stack([u, v], -1).reshape(u.shape[0], -1)]
    return [luma, u, v]


PLANAR = ["yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p", "yuv440p", "yuv411p",
          "yuv410p", "nv12", "nv16", "nv24", "yuv420p10le", "yuv422p10le", "yuv444p10le",
          "yuv420p12le", "p010le"]  # fmt: skip


@pytest.mark.parametrize("pix_fmt", PLANAR)
@pytest.mark.parametrize("orientation", [UPRIGHT, EXIF_ORIENTATIONS[6], EXIF_ORIENTATIONS[3]])
def test_reduced_is_the_mean_of_the_full_picture_in_every_format(pix_fmt, orientation):
    layout = LAYOUTS[pix_fmt]
    full = pix_fmt.startswith("yuvj")
    # Color constant over each 8 x 8 block, brightness free inside it.
    rng = np.random.default_rng(5)
    blocks = rng.uniform(70, 180, (6, 10, 3)).repeat(8, 0).repeat(8, 1)
    rgb = blocks + rng.uniform(-40, 40, (48, 80, 1))
    frame = yuv_frame(stored(to_yuv(rgb, "bt601", full, layout.bits), pix_fmt), pix_fmt)
    seen = picture(frame, orientation)
    upright = orientation.apply(rgb)
    reduced = seen.reduced()
    assert reduced.scale == layout.scale
    expected = block_means(upright, layout.scale)
    assert reduced.rgb.shape == expected.shape
    assert np.abs(reduced.rgb - expected).max() < (1.6 if layout.bits == 8 else 0.4)
    # Rounding of the stored samples averages out; a bias would not.
    assert np.abs((reduced.rgb - expected).mean(axis=(0, 1))).max() < 0.15
    inside = seen.rgb()[2::8, 2::8].astype(float)
    assert inside.shape[2] == 3
    assert np.abs(seen.rgb().mean(axis=(0, 1)) - expected.mean(axis=(0, 1))).max() < 0.7


@pytest.mark.parametrize("pix_fmt", ["yuyv422", "uyvy422", "yuv420p10be", "rgb24", "bgr0", "gbrp",
                                     "rgb48le", "gray", "gray10le", "rgb555le"])  # fmt: skip
def test_other_formats_keep_the_color(pix_fmt):
    rgb = np.full((48, 64, 3), (190, 100, 80), np.uint8)
    if pix_fmt.startswith("gray"):
        rgb[:] = 100
    frame = av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(
        format=pix_fmt, dst_colorspace=5
    )
    seen = picture(frame)
    tolerance = 8 if "555" in pix_fmt else 3
    assert np.abs(seen.rgb().astype(int) - rgb).max() <= tolerance
    assert np.abs(seen.reduced().rgb - rgb[0, 0]).max() <= tolerance


def test_ten_bits_are_not_cut_to_eight():
    # Steps of a quarter of an 8-bit level.
    y = np.repeat(np.arange(400, 464, dtype=np.uint16)[None], 48, axis=0)
    neutral = np.full((24, 32), 512, np.uint16)
    reduced = picture(yuv_frame([y, neutral, neutral], "yuv420p10le")).reduced().rgb
    steps = np.diff(reduced[0, :, 0])
    assert np.allclose(steps, 2 * 255 / 876, atol=1e-3)


def test_the_reduced_means_are_linear_and_not_rounded():
    # Blocks whose brightness averages to a quarter, a half and three quarters of a level.
    for extra, part in ((1, 0.25), (2, 0.5), (3, 0.75)):
        y = np.full((48, 64), 100, np.uint8)
        for k in range(extra):
            y[k // 2 :: 2, k % 2 :: 2] += 1
        neutral = np.full((24, 32), 128, np.uint8)
        reduced = picture(yuv_frame([y, neutral, neutral], "yuv420p")).reduced().rgb
        assert np.allclose(reduced, (84 + part) * 255 / 219, atol=1e-3)


def test_colors_outside_the_gamut_are_not_cut_off():
    y = np.full((48, 64), 230, np.uint8)
    u, v = np.full((24, 32), 128, np.uint8), np.full((24, 32), 220, np.uint8)
    seen = picture(yuv_frame([y, u, v], "yuv420p"))
    assert seen.reduced().rgb[..., 0].min() > 380
    assert (seen.rgb()[..., 0] == 255).all()


def test_a_gradient_reduces_to_its_block_means():
    x, y = np.meshgrid(np.linspace(60, 200, 160), np.linspace(50, 180, 120))
    rgb = np.stack([x, y, (x + y) / 2], -1)
    planes = stored(to_yuv(rgb, "bt601", full=False), "yuv420p")
    frame = picture(yuv_frame(planes, "yuv420p"))
    reduced = frame.reduced((20, 30, 110, 100))
    assert (reduced.x0, reduced.y0, reduced.scale) == (20, 30, 2)
    # From the definition, solved for R, G, B in double precision.
    zero, unit = to_yuv(np.zeros(3), "bt601", False), to_yuv(np.eye(3), "bt601", False)
    luma = block_means(planes[0][..., None].repeat(3, 2), 2)[..., 0]
    yuv = np.stack([luma, *(plane.astype(float) for plane in planes[1:])], -1)
    exact = np.linalg.solve((unit - zero).T, (yuv - zero)[..., None])[..., 0]
    assert np.abs(reduced.rgb - exact[15:50, 10:55]).max() < 1e-3
    # The picture in 8 bits has chroma interpolated and rounded: half a level on average at most.
    full = block_means(frame.rgb()[30:100, 20:110], 2)
    assert np.abs((reduced.rgb - full).mean(axis=(0, 1))).max() < 0.5
    assert np.abs(reduced.rgb - full).max() < 2.5


# --- boxes ----------------------------------------------------------------------------------


@settings(deadline=None, max_examples=150)
@given(
    width=st.integers(1, 70),
    height=st.integers(1, 50),
    box=st.tuples(*[st.floats(-20, 90)] * 4),
    orientation=st.sampled_from(list(EXIF_ORIENTATIONS.values())),
    pix_fmt=st.sampled_from(["yuv420p", "yuv422p", "nv12", "yuv444p", "yuv411p", "rgb24"]),
)
def test_a_box_gives_the_same_as_cutting_it_out_of_the_whole(
    width, height, box, orientation, pix_fmt
):
    rng = np.random.default_rng(width * 100 + height)
    image = rng.integers(0, 256, (height, width, 3), np.uint8)
    frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format=pix_fmt)
    seen = picture(frame, orientation)
    whole, part = seen.reduced(), seen.reduced(box)
    scale = whole.scale
    assert part.rgb.dtype == np.float32
    assert seen.rgb().shape == (seen.height, seen.width, 3)
    if part.rgb.size == 0:
        # Nothing there, or only blocks that are not whole.
        x0, x1 = max(box[0], 0), min(box[2], seen.width)
        y0, y1 = max(box[1], 0), min(box[3], seen.height)
        assert x1 - x0 < scale or y1 - y0 < scale
        return
    assert part.scale == scale
    rows, columns = part.rgb.shape[:2]
    i, j = (part.y0 - whole.y0) // scale, (part.x0 - whole.x0) // scale
    assert (part.y0 - whole.y0) % scale == 0 == (part.x0 - whole.x0) % scale
    assert np.allclose(part.rgb, whole.rgb[i : i + rows, j : j + columns], atol=1e-3)
    # It covers the box as far as there are whole blocks, and no block that the box misses.
    end_x, end_y = part.x0 + columns * scale, part.y0 + rows * scale
    assert part.x0 <= max(box[0], whole.x0)
    assert part.y0 <= max(box[1], whole.y0)
    assert end_x >= min(np.ceil(box[2]), whole.x0 + whole.rgb.shape[1] * scale)
    assert end_y >= min(np.ceil(box[3]), whole.y0 + whole.rgb.shape[0] * scale)
    assert part.x0 + scale > np.floor(box[0])
    assert end_x - scale < np.ceil(box[2])


def test_the_padding_of_lines_is_never_seen():
    # yuv_frame fills the padding with 173; 50 pixels do not fill a line.
    y, c = np.full((30, 50), 60, np.uint8), np.full((15, 25), 128, np.uint8)
    frame = yuv_frame([y, c, c], "yuv420p")
    assert frame.planes[0].line_size > 50
    seen = picture(frame)
    assert seen.rgb().std() == 0
    assert seen.reduced().rgb.std() < 1e-4
    assert b"\xad" not in b"".join(seen.content())


# --- orientation ----------------------------------------------------------------------------


@given(
    st.sampled_from(list(EXIF_ORIENTATIONS.values())),
    st.integers(1, 9),
    st.integers(1, 9),
    st.data(),
)
def test_a_box_moves_with_the_pixels(orientation, width, height, data):
    x0, y0 = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    x1, y1 = data.draw(st.integers(x0 + 1, width)), data.draw(st.integers(y0 + 1, height))
    image = np.arange(width * height).reshape(height, width)
    upright = orientation.apply(image)
    assert upright.shape[::-1] == orientation.size(width, height)
    box = orientation.box_to_upright((x0, y0, x1, y1), width, height)
    cut = upright[box[1] : box[3], box[0] : box[2]]
    assert np.array_equal(cut, orientation.apply(image[y0:y1, x0:x1]))
    assert orientation.box_to_stored(box, width, height) == (x0, y0, x1, y1)


def test_a_display_matrix_places_each_point_where_it_says():
    for a, b, c, d in [(1, 0, 0, 1), (0, 1, -1, 0), (-1, 0, 0, -1), (0, -1, 1, 0),
                       (-1, 0, 0, 1), (1, 0, 0, -1), (0, 1, 1, 0), (0, -1, -1, 0)]:  # fmt: skip
        matrix = [65536 * a, 65536 * b, 0, 65536 * c, 65536 * d, 0, 0, 0, 2**30]
        orientation = from_display_matrix(matrix)
        image = np.arange(12).reshape(3, 4)
        points = np.array([(a * x + c * y, b * x + d * y) for y in range(3) for x in range(4)])
        x, y = (points - points.min(axis=0)).T
        expected = np.empty((y.max() + 1, x.max() + 1), int)
        expected[y, x] = image.ravel()
        assert np.array_equal(orientation.apply(image), expected)
        assert orientation.mirrored == (a * d - b * c < 0)


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
@pytest.mark.parametrize("size", [(64, 48), (63, 47)])
@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv444p", "yuv422p10le"])
def test_a_box_is_cut_out_of_the_whole(
    tmp_path: Path, rotation: int, size: tuple[int, int], pix_fmt: str
) -> None:
    width, height = size
    if pix_fmt != "yuv444p":  # the encoder takes odd sizes only there
        width, height = width & ~1, height & ~1
    rgb = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    path = write_clip(tmp_path / "a.mp4", [rgb], pix_fmt=pix_fmt, rotation=rotation, qp=0)
    with open_clip(path) as clip:
        frame = next(iter(clip))
        whole = frame.rgb()
        rng = np.random.default_rng(1)
        for _ in range(40):
            x0, y0 = rng.integers(0, frame.width), rng.integers(0, frame.height)
            x1 = int(rng.integers(x0 + 1, frame.width + 1))
            y1 = int(rng.integers(y0 + 1, frame.height + 1))
            part = frame.rgb((int(x0), int(y0), x1, y1))
            assert np.array_equal(part, whole[y0:y1, x0:x1])
