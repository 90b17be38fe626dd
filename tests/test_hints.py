from __future__ import annotations

import io
import time
import zlib

import numpy as np
import pytest
from PIL import Image

from pallor.errors import PictureError
from pallor.service import hints
from pallor.service.disclaimers import RESEARCH_ONLY, RESEARCH_ONLY_SHORT, SIMULATED, disclaimers
from pallor.service.hints import CODES, MAX_BYTES, MAX_SIDE, Hints, look
from pallor.video.face import FaceLandmarker
from portrait import portrait


@pytest.fixture(scope="module")
def landmarker() -> FaceLandmarker:
    return FaceLandmarker()


def jpeg(rgb: np.ndarray, quality: int = 80) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.clip(rgb, 0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def scene(
    size: int = 220, dx: int = 0, dy: int = 0, width: int = 320, height: int = 240
) -> np.ndarray:
    """The portrait's face, ``dx`` and ``dy`` pixels off the middle of a gray room."""
    picture = np.full((height, width, 3), 110, np.float32)
    # In the portrait the face lies at (0.49, 0.42) of the square.
    x = width // 2 + dx - round(0.49 * size)
    y = height // 2 + dy - round(0.42 * size)
    x0, y0, x1, y1 = max(x, 0), max(y, 0), min(x + size, width), min(y + size, height)
    picture[y0:y1, x0:x1] = portrait(size)[y0 - y : y1 - y, x0 - x : x1 - x]
    return picture


def test_a_good_frame_has_nothing_to_change(landmarker):
    assert look(jpeg(scene()), landmarker) == Hints(True, 1, "good", "good", True, None, ())


def test_a_room_without_a_face_says_so_alone(landmarker):
    seen = look(jpeg(np.full((240, 320, 3), 110.0)), landmarker, jpeg(scene()))
    assert seen == Hints(False, 0, None, None, False, None, ("no_face",))


@pytest.mark.parametrize(
    ("size", "distance"),
    [(120, "too_far"), (150, "too_far"), (200, "good"), (300, "good"), (420, "good"),
     (560, "too_near")],
)  # fmt: skip
def test_distance_is_told_by_the_eyes(landmarker, size, distance):
    seen = look(jpeg(scene(size)), landmarker)
    assert seen.distance == distance
    assert {"too_far", "too_near"} & set(seen.codes) == {distance} - {"good"}


@pytest.mark.parametrize("scale", [0.6, 1, 2])
@pytest.mark.parametrize(("size", "distance"), [(150, "too_far"), (260, "good"), (560, "too_near")])
def test_distance_does_not_depend_on_the_resolution(landmarker, scale, size, distance):
    picture = scene(round(size * scale), width=round(320 * scale), height=round(240 * scale))
    assert look(jpeg(picture), landmarker).distance == distance


def test_the_shorter_side_decides_so_that_an_upright_phone_is_treated_alike(landmarker):
    upright = look(jpeg(scene(260, width=240, height=320)), landmarker)
    assert (upright.distance, upright.centered) == ("good", True)


@pytest.mark.parametrize(
    ("dx", "dy", "centered"),
    [(0, 0, True), (35, 0, True), (-35, 0, True), (70, 0, False), (-70, 0, False), (0, 30, True),
     (0, -30, True), (0, 65, False), (0, -65, False)],
)  # fmt: skip
def test_a_face_must_be_near_the_middle(landmarker, dx, dy, centered):
    seen = look(jpeg(scene(210, dx, dy)), landmarker)
    assert seen.centered is centered
    assert ("not_centered" in seen.codes) is not centered


@pytest.mark.parametrize(
    ("gain", "light"),
    [(0.1, "too_dark"), (0.25, "too_dark"), (0.45, "good"), (0.7, "good"), (1.0, "good"),
     (1.3, "too_bright"), (2.0, "too_bright")],
)  # fmt: skip
def test_brightness_is_that_of_the_skin(landmarker, gain, light):
    seen = look(jpeg(scene() * gain), landmarker)
    assert seen.light == light
    assert {"too_dark", "too_bright"} & set(seen.codes) == {light} - {"good"}


def test_a_bright_room_behind_a_dark_face_does_not_help(landmarker):
    picture = scene() * 0.2
    picture[(scene() == 110).all(axis=2)] = 240
    assert look(jpeg(picture), landmarker).light == "too_dark"


@pytest.mark.parametrize("dark", ["left", "right"])
@pytest.mark.parametrize(("share", "light"), [(0.95, "good"), (0.5, "uneven"), (0.3, "uneven")])
def test_light_from_one_side_is_uneven(landmarker, dark, share, light):
    picture = scene()
    # The portrait's own light, from the left, is evened out first.
    picture[:, 160:] *= min(picture[80:140, 130:160].mean() / picture[80:140, 160:190].mean(), 1)
    half = np.s_[:, :160] if dark == "left" else np.s_[:, 160:]
    picture[half] *= share
    seen = look(jpeg(picture), landmarker)
    assert seen.light == light
    assert ("uneven_light" in seen.codes) is (light == "uneven")


def test_two_faces_are_counted(landmarker):
    pair = np.concatenate([portrait(160), portrait(160)], axis=1)
    seen = look(jpeg(pair), landmarker)
    assert seen.faces == 2
    assert seen.codes[0] == "several_faces"


@pytest.mark.parametrize(
    ("dx", "dy", "moving"),
    [(0, 0, False), (1, 1, False), (6, 0, True), (0, 6, True), (-14, 0, True), (40, 20, True)],
)
def test_motion_is_told_from_the_frame_before(landmarker, dx, dy, moving):
    seen = look(jpeg(scene(dx=dx, dy=dy)), landmarker, jpeg(scene()))
    assert seen.moving is moving
    assert ("moving" in seen.codes) is moving


def test_a_change_of_brightness_is_no_motion(landmarker):
    assert look(jpeg(scene()), landmarker, jpeg(scene() * 0.6)).moving is False


@pytest.mark.parametrize(
    "previous", [b"", b"\xff\xd8\xff\xe0", b"x" * 300_000, jpeg(scene(width=160, height=120))]
)
def test_a_frame_before_that_cannot_be_used_is_as_good_as_none(landmarker, previous):
    seen = look(jpeg(scene()), landmarker, previous)
    assert seen.moving is None
    assert seen.codes == ()


def test_codes_come_in_order_and_as_json(landmarker):
    seen = look(jpeg(scene(150, dx=70) * 0.2), landmarker, jpeg(scene(150)))
    assert seen.codes == ("too_far", "not_centered", "too_dark", "moving")
    assert list(seen.codes) == sorted(seen.codes, key=CODES.index)
    assert seen.as_dict()["codes"] == list(seen.codes)
    assert set(seen.as_dict()) == set(Hints.__dataclass_fields__)


def png(rgb: np.ndarray, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, "PNG", **options)
    return buffer.getvalue()


def test_a_png_serves_too(landmarker):
    assert look(png(scene(width=300).astype(np.uint8)), landmarker).codes == ()


def _noise(width: int, height: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def _bomb() -> bytes:
    data = bytearray(png(np.zeros((64, 64, 3), np.uint8)))
    data[16:24] = (60_000).to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    return bytes(data)


REFUSED = {
    "empty": b"",
    "text": b"Dear doctor",
    "gif": b"GIF89a" + bytes(100),
    "svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    "only_a_signature": b"\xff\xd8\xff\xe0",
    "cut": jpeg(scene())[:3000],
    "too_many_bytes": jpeg(_noise(640, 640), 100),
    "too_wide": jpeg(np.full((100, MAX_SIDE + 1, 3), 90)),
    "too_high": jpeg(np.full((MAX_SIDE + 1, 100, 3), 90)),
    "thin": jpeg(np.full((2, 300, 3), 90)),
    "bomb": _bomb(),
    "clear": png(np.zeros((80, 80, 4), np.uint8)),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_small_picture_is_refused_in_one_line(landmarker, name):
    with pytest.raises(PictureError) as caught:
        look(REFUSED[name], landmarker)
    assert "\n" not in caught.value.text
    assert caught.value.code == "picture"


def test_a_picture_with_too_many_bytes_is_not_decoded(landmarker, monkeypatch):
    def decode(*_: object) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr(hints, "read_still", decode)
    assert len(REFUSED["too_many_bytes"]) > MAX_BYTES
    with pytest.raises(PictureError, match="bytes"):
        look(REFUSED["too_many_bytes"], landmarker)


def test_flipped_bits_end_in_hints_or_in_a_refusal(landmarker):
    rng = np.random.default_rng(7)
    whole = jpeg(scene())
    refused = 0
    for _ in range(60):
        data = bytearray(whole)
        for at in rng.integers(0, len(data), 8):
            data[at] ^= 1 << int(rng.integers(8))
        try:
            assert isinstance(look(bytes(data), landmarker, whole), Hints)
        except PictureError:
            refused += 1
    assert refused < 60


def test_a_look_is_quick(landmarker):
    frame, before = jpeg(scene()), jpeg(scene(dx=2))
    look(frame, landmarker, before)
    spent = []
    for _ in range(20):
        start = time.thread_time()
        look(frame, landmarker, before)
        spent.append(time.thread_time() - start)
    assert np.median(spent) < 0.020


def test_simulated_answers_say_so_first():
    assert disclaimers(True) == (SIMULATED, RESEARCH_ONLY)
    assert disclaimers(False) == (RESEARCH_ONLY,)
    assert RESEARCH_ONLY.startswith(RESEARCH_ONLY_SHORT[:-1])
