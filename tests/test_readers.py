from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pallor.cohort.readers import READERS, read
from pallor.cohort.table import read_cohort, write_cohort
from pallor.errors import CohortError, UsageError

CP_HEADER = "IMAGE_ID,HB_LEVEL,Severity,Age(Months),GENDER,REMARK, HOSPITAL"
MCD_HEADER = "patient_id,bmi,age,sex,hemoglobin,step,camera,video"


def _cp_anemic(root: Path, rows: list[str], images: list[str]) -> Path:
    for folder in ("Anemic", "Non-anemic"):
        (root / folder).mkdir(parents=True)
    for image in images:
        (root / image).write_bytes(image.encode())
    text = "\n".join([CP_HEADER, *rows])
    (root / "Anemia_Data_Collection_Sheet.csv").write_text(text, encoding="utf-8-sig")
    return root


def test_cp_anemic_rows_become_clips(tmp_path: Path) -> None:
    root = _cp_anemic(
        tmp_path / "cp",
        [
            "Image_001 ,9.8,Moderate,6,Female ,Anemic,Some Hospital ",
            "Image_002,12.5,Non-Anemic,48,Male,Non-anemic,Other Hospital",
        ],
        ["Anemic/Image_001 .png", "Non-anemic/Image_002.png"],
    )
    cohort = read("cp-anemic", root)
    assert cohort.notes == []
    assert cohort.frame["participant_id"].tolist() == ["Image_001", "Image_002"]
    assert cohort.frame["clip"].tolist() == ["Anemic/Image_001 .png", "Non-anemic/Image_002.png"]
    assert cohort.frame["hemoglobin_g_dl"].tolist() == [9.8, 12.5]
    assert cohort.frame["sex"].tolist() == ["female", "male"]
    assert cohort.frame["age_years"].tolist() == [0.5, 4.0]
    assert cohort.frame["site"].tolist() == ["Some Hospital", "Other Hospital"]
    again = read_cohort(write_cohort(cohort, tmp_path / "out" / "c.csv"), check_files=True)
    assert [p.resolve() for p in again.clip_paths()] == [p.resolve() for p in cohort.clip_paths()]


def test_cp_anemic_names_what_does_not_match(tmp_path: Path) -> None:
    root = _cp_anemic(
        tmp_path / "cp",
        [
            "Image_001,9.8,Moderate,6,Female,Anemic,H",
            "Image_002,12.5,Non-Anemic,48,Male,Non-anemic,H",
            "Image_003,9.0,Moderate,24,Male,Non-anemic,H",
        ],
        ["Anemic/Image_001.png", "Anemic/Image_003.png", "Non-anemic/Image_009.png"],
    )
    cohort = read("cp-anemic", root)
    assert cohort.frame["participant_id"].tolist() == ["Image_001", "Image_003"]
    assert cohort.notes == [
        "1 rows of the sheet have no image and were left out: Image_002",
        "1 images are not in the sheet and were left out: Image_009",
        "1 images lie in a folder that contradicts Severity or REMARK: Image_003",
    ]


def test_other_folders_are_refused(tmp_path: Path) -> None:
    for name in READERS:
        with pytest.raises(CohortError, match="no such file"):
            read(name, tmp_path)
    with pytest.raises(UsageError, match="cp-anemic, mcd-rppg"):
        read("nix", tmp_path)
    (tmp_path / "db.csv").write_text("a,b\n1,2\n")
    with pytest.raises(CohortError, match="columns patient_id"):
        read("mcd-rppg", tmp_path)


def _mcd(
    root: Path, male: float = 15.0, female: float = 13.0, ids: list[str] | None = None
) -> Path:
    rng = np.random.default_rng(0)
    lines = [MCD_HEADER]
    for index, patient in enumerate(ids or [str(n) for n in range(1000, 1040)]):
        sex = "FM"[index % 2]
        value = (male if sex == "M" else female) + rng.normal(0, 0.5)
        lines += [
            f"{patient},22.5,30.0,{sex},{value:.1f},{step},{camera},"
            f"video/{patient}_{camera}_{step}.avi"
            for step in ("before", "after")
            for camera in ("FullHDwebcam", "USBVideo")
        ]
    root.mkdir(exist_ok=True)
    (root / "db.csv").write_text("\n".join(lines) + "\n")
    return root


def test_mcd_rppg_rows_become_clips(tmp_path: Path) -> None:
    root = _mcd(tmp_path / "mcd")
    (root / "video").mkdir()
    (root / "video" / "1000_USBVideo_after.avi").write_bytes(b"x")
    cohort = read("mcd-rppg", root)
    assert len(cohort) == 160
    first = cohort.frame.iloc[0].to_dict()
    assert first["participant_id"] == "1000"
    assert first["session"] == "before"
    assert first["camera"] == "FullHDwebcam"
    assert first["reference_method"] == "capillary_poc"
    assert first["bmi"] == 22.5
    assert len(cohort.notes) == 1
    assert cohort.notes[0].startswith(
        "159 of 160 videos are absent: video/1000_FullHDwebcam_before.avi"
    )


@pytest.mark.parametrize(
    ("male", "female", "part"),
    [
        (5.4, 5.2, " male patients is 5"),
        (17.5, 13.0, " male patients is 17"),
        (15.0, 11.0, " female patients is 1"),
        (13.4, 14.4, "is not above that of women"),
        (95.0, 93.0, "looks like g/L"),
    ],
)
def test_mcd_rppg_refuses_a_column_that_is_no_hemoglobin(
    tmp_path: Path, male: float, female: float, part: str
) -> None:
    with pytest.raises(CohortError, match=part):
        read("mcd-rppg", _mcd(tmp_path / "mcd", male, female))


def test_mcd_rppg_leaves_out_damaged_videos_and_says_so(tmp_path: Path) -> None:
    cohort = read("mcd-rppg", _mcd(tmp_path / "mcd", ids=["1", "2", "4952", "6066"]))
    clips = cohort.frame["clip"].tolist()
    assert len(clips) == 11
    assert "video/6066_USBVideo_after.avi" in clips
    assert "video/6066_USBVideo_before.avi" not in clips
    assert any("5 videos are known to be damaged" in note for note in cohort.notes)
    assert any("could not be checked" in note for note in cohort.notes)


def test_mcd_rppg_refuses_two_values_of_one_patient(tmp_path: Path) -> None:
    root = _mcd(tmp_path / "mcd")
    sheet = pd.read_csv(root / "db.csv")
    sheet.loc[(sheet["patient_id"] == 1000) & (sheet["step"] == "after"), "hemoglobin"] = 12.0
    sheet.to_csv(root / "db.csv", index=False)
    with pytest.raises(CohortError, match="differs within 1: 1000"):
        read("mcd-rppg", root)


@pytest.mark.shared
def test_the_published_tables_are_read(shared: Path) -> None:
    children = read("cp-anemic", shared / "cp_anemic")
    assert len(children) == 567
    assert children.notes == []
    assert children.frame["site"].nunique() == 8
    assert children.frame["hemoglobin_g_dl"].between(3.1, 15.0).all()
    adults = read("mcd-rppg", shared / "mcd_rppg")
    assert len(adults) == 1800
    assert adults.frame["participant_id"].nunique() == 300
    assert any("1800 of 1800 videos are absent" in note for note in adults.notes)
