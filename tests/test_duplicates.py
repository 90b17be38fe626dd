from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image, PngImagePlugin

from pallor.cohort.duplicates import duplicates_of_table, find_duplicates
from pallor.cohort.readers import read
from pallor.cohort.table import cohort_from_frame


def _picture(path: Path, seed: int, *, hidden: int = 0, note: str = "") -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (12, 10, 4), dtype=np.uint8)
    pixels[..., 3] = 255
    pixels[:3] = hidden
    pixels[:3, :, 3] = 0
    info = PngImagePlugin.PngInfo()
    info.add_text("Comment", note)
    Image.fromarray(pixels, "RGBA").save(path, pnginfo=info)


def _cohort(tmp_path: Path, people: list[str], clips: list[str], **more: list[object]):
    return cohort_from_frame(
        pd.DataFrame({"participant_id": people, "clip": clips, **more}), tmp_path
    )


def test_bytes_and_pixels_are_compared_and_what_is_under_transparency_is_not(
    tmp_path: Path,
) -> None:
    _picture(tmp_path / "a.png", 1)
    (tmp_path / "b.png").write_bytes((tmp_path / "a.png").read_bytes())
    _picture(tmp_path / "c.png", 1, note="another file, the same picture")
    _picture(tmp_path / "d.png", 1, hidden=77)
    _picture(tmp_path / "e.png", 2)
    found = find_duplicates(
        _cohort(
            tmp_path,
            ["p", "q", "q", "r", "s"],
            ["a.png", "b.png", "c.png", "d.png", "e.png"],
            hemoglobin_g_dl=[10, 12, 12, 10, 11],
            sex=["f", "f", "f", "m", "f"],
        )
    )
    assert [group.rows for group in found.groups] == [(0, 1, 2, 3)]
    assert found.rows == (0, 1, 2, 3)
    assert dict(found.groups[0].conflicts) == {
        "hemoglobin_g_dl": (10.0, 12.0),
        "sex": ("female", "male"),
    }
    assert found.groups[0].across_participants
    assert found.as_dict()["groups"] == 1
    assert "4 of 5 clips" in found.notes()[0]


def test_one_pixel_makes_a_difference(tmp_path: Path) -> None:
    _picture(tmp_path / "a.png", 1)
    with Image.open(tmp_path / "a.png") as image:
        pixels = np.array(image)
    pixels[-1, -1, 0] ^= 1
    Image.fromarray(pixels, "RGBA").save(tmp_path / "b.png")
    found = find_duplicates(_cohort(tmp_path, ["p", "q"], ["a.png", "b.png"]))
    assert not found.groups
    assert found.notes() == []


def test_files_that_are_no_stills_are_compared_by_bytes(tmp_path: Path) -> None:
    for name, content in {"a.mp4": b"12345", "b.mp4": b"12345", "c.mp4": b"12346"}.items():
        (tmp_path / name).write_bytes(content)
    found = find_duplicates(_cohort(tmp_path, ["p", "p", "q"], ["a.mp4", "b.mp4", "c.mp4"]))
    assert [group.rows for group in found.groups] == [(0, 1)]
    assert not found.across_participants
    assert not found.conflicting


def test_what_cannot_be_compared_is_counted(tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"no picture")
    found = find_duplicates(_cohort(tmp_path, ["p", "q"], ["broken.png", "gone.png"]))
    assert found.unread == ("broken.png", "gone.png")
    assert "2 clips could not be compared" in found.notes()[-1]


def test_sixteen_bit_stills_are_not_taken_for_equal(tmp_path: Path) -> None:
    for name, low in (("a.png", 1), ("b.png", 2)):
        Image.fromarray(np.full((5, 5), 0x4000 + low, np.uint16)).save(tmp_path / name)
    assert not find_duplicates(_cohort(tmp_path, ["p", "q"], ["a.png", "b.png"])).groups


def test_a_feature_table_is_compared_by_its_hashes() -> None:
    table = pd.DataFrame(
        {
            "participant_id": list("pqrst"),
            "clip": list("abcde"),
            "file_sha256": ["1", "2", "2", None, None],
            "content_sha256": ["x", "y", "x", "", ""],
        }
    )
    assert [group.rows for group in duplicates_of_table(table).groups] == [(0, 1, 2)]


@pytest.mark.shared
def test_the_copies_of_cp_anemic_are_found(shared: Path) -> None:
    cohort = read("cp-anemic", shared / "cp_anemic")
    content: dict[bytes, list[int]] = {}
    for row, path in enumerate(cohort.clip_paths()):
        content.setdefault(path.read_bytes(), []).append(row)
    by_bytes = [rows for rows in content.values() if len(rows) > 1]
    found = find_duplicates(cohort)
    # 224 of 567 by bytes, as the data set is known for; by pixels there are some more.
    assert sum(map(len, by_bytes)) == 224
    where = {row: group for group in found.groups for row in group.rows}
    assert all(len({id(where[row]) for row in rows}) == 1 for rows in by_bytes)
    assert len(found.rows) >= 224
    assert len(found.across_participants) == len(found.groups)
    assert len(found.conflicting) > 0.9 * len(found.groups)
