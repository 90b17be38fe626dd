from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pandas as pd
import pytest

from pallor.cohort.table import read_cohort
from pallor.errors import UsageError
from pallor.simulation.cohort import simulate_cohort
from pallor.simulation.draw import draw, draw_subject, frames_of
from pallor.simulation.encoding import CODECS, comment_of, to_yuv420, write_clip, yuv_matrix
from pallor.simulation.face import make_face
from pallor.simulation.sensor import LIGHTS, SENSORS
from pallor.simulation.settings import Settings
from pallor.video.clip import open_clip

SMALL = Settings("easy", seed=3, size=96, duration_s=0.5)


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def rows(folder: Path) -> list[dict[str, object]]:
    return pd.read_parquet(folder / "truth.parquet").to_dict("records")


def tissue_trace(clip: Path, settings: Settings, index: int) -> np.ndarray:
    """Mean R, G, B of the skin in each decoded frame."""
    looks = draw_subject(settings, index).looks
    mask = make_face(looks, settings.size).masks["skin"] > 0.98
    with av.open(str(clip)) as container:
        return np.array(
            [f.to_ndarray(format="rgb24")[mask].mean(axis=0) for f in container.decode(video=0)]
        )


def peak_rate_bpm(trace: np.ndarray, fps: float) -> float:
    """Center of the power around the spectral peak (the rate varies within a clip)."""
    time_s = np.arange(len(trace)) / fps
    flat = trace - np.polyval(np.polyfit(time_s, trace, 4), time_s)
    power = np.abs(np.fft.rfft(flat * np.hanning(len(flat)), 16384)) ** 2
    hertz = np.fft.rfftfreq(16384, 1 / fps)
    band = (hertz > 0.75) & (hertz < 2.5)
    peak = hertz[band][power[band].argmax()]
    near = np.abs(hertz - peak) < 0.15
    return float(60 * (hertz[near] * power[near]).sum() / power[near].sum())


def test_same_seed_same_bytes_with_any_number_of_workers(tmp_path: Path) -> None:
    simulate_cohort(tmp_path / "a", SMALL, participants=2)
    simulate_cohort(tmp_path / "b", SMALL, participants=2, workers=2)
    first = digests(tmp_path / "a")
    assert first == digests(tmp_path / "b")
    assert sorted(first) == [
        "clips/sim00000.mp4",
        "clips/sim00001.mp4",
        "cohort.csv",
        "truth.parquet",
    ]
    assert first["clips/sim00000.mp4"] != first["clips/sim00001.mp4"]


def test_a_cohort_grows_in_people_and_sessions_without_changing(tmp_path: Path) -> None:
    simulate_cohort(tmp_path / "a", SMALL, participants=1)
    before = (tmp_path / "a/clips/sim00000.mp4").stat()
    seen: list[tuple[int, int, str]] = []
    simulate_cohort(
        tmp_path / "a",
        SMALL,
        participants=2,
        sessions=2,
        progress=lambda *args: seen.append(args),
    )
    after = (tmp_path / "a/clips/sim00000.mp4").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
    assert seen == [
        (2, 4, "sim00000-2.mp4"),
        (3, 4, "sim00001.mp4"),
        (4, 4, "sim00001-2.mp4"),
    ]
    simulate_cohort(tmp_path / "b", SMALL, participants=1, first=1)
    known, again = rows(tmp_path / "a")[2], rows(tmp_path / "b")[0]
    assert known["clip"] == again["clip"] == "clips/sim00001.mp4"
    assert all(np.array_equal(known[name], again[name]) for name in known)
    clip = "clips/sim00001.mp4"
    assert (tmp_path / "a" / clip).read_bytes() == (tmp_path / "b" / clip).read_bytes()
    frame = read_cohort(tmp_path / "a/cohort.csv", check_files=True).frame
    assert frame["session"].tolist() == ["1", "2", "1", "2"]
    assert frame["participant_id"].nunique() == 2
    assert frame["hemoglobin_g_dl"].nunique() == 4


def test_an_interrupted_cohort_goes_on(tmp_path: Path) -> None:
    def interrupt(done: int, _total: int, _name: str) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate_cohort(tmp_path, SMALL, participants=3, progress=interrupt)
    assert not (tmp_path / "cohort.csv").exists()
    assert len(list((tmp_path / "clips").iterdir())) == 2
    seen: list[str] = []
    simulate_cohort(
        tmp_path, SMALL, participants=3, progress=lambda _d, _t, name: seen.append(name)
    )
    assert seen == ["sim00002.mp4"]


def test_the_table_is_a_cohort_table(tmp_path: Path) -> None:
    path = simulate_cohort(tmp_path, SMALL, participants=2)
    assert path == tmp_path / "cohort.csv"
    frame = read_cohort(path, check_files=True).frame
    assert frame["reference_method"].tolist() == ["simulated"] * 2
    assert frame["simulated"].tolist() == [True, True]
    assert set(frame["sex"]) == {"female", "male"}
    assert frame["camera"].tolist() == ["nikon_d5100"] * 2
    truth = rows(tmp_path)
    assert frame["hemoglobin_g_dl"].tolist() == [row["hemoglobin_g_dl"] for row in truth]


def test_the_truth_is_told(tmp_path: Path) -> None:
    settings = replace(SMALL, preset="realistic")
    simulate_cohort(tmp_path, settings, participants=2)
    table = pd.read_parquet(tmp_path / "truth.parquet")
    drawn = [draw(settings, index) for index in range(2)]
    for row, true in zip(table.to_dict("records"), drawn, strict=True):
        skin = true.subject.person.tissues["skin"]
        assert row["melanin"] == skin.melanin
        assert row["blood_skin"] == skin.blood
        assert row["white_balance_red"] == true.subject.camera.white_balance_error[0] != 0
        assert row["heart_rate_bpm"] == pytest.approx(true.pulse.heart_rate_bpm, abs=1e-3)
        assert np.array_equal(row["pulse_volume"], true.pulse.volume)
        assert np.array_equal(row["time_s"], true.pulse.time_s)
        assert len(row["time_s"]) == settings.frames == 15
        assert row["sensor"] in SENSORS
        assert row["light"] in LIGHTS
    import pyarrow.parquet as pq

    metadata = pq.read_schema(tmp_path / "truth.parquet").metadata
    assert metadata[b"comment"].startswith(b"SIMULATED")


def test_clips_say_that_they_are_simulated_and_carry_no_date(tmp_path: Path) -> None:
    simulate_cohort(tmp_path, SMALL, participants=1)
    with av.open(str(tmp_path / "clips/sim00000.mp4")) as container:
        assert container.metadata["comment"].startswith("SIMULATED by pallor")
        assert "creation_time" not in container.metadata
        stream = container.streams.video[0]
        assert "creation_time" not in stream.metadata
        assert (stream.width, stream.height, stream.frames) == (96, 96, 15)
        assert float(stream.average_rate) == 30


@pytest.mark.parametrize("codec", list(CODECS))
def test_frames_keep_their_times(tmp_path: Path, codec: str) -> None:
    settings = replace(SMALL, preset="realistic", codec=codec)
    simulate_cohort(tmp_path, settings, participants=1)
    true = rows(tmp_path)[0]["time_s"]
    assert np.diff(true).std() > 0.001  # a phone's clock is not even
    with open_clip(tmp_path / "clips/sim00000.mp4") as clip:
        assert [frame.time_s for frame in clip] == pytest.approx(list(true), abs=1e-4)


@pytest.mark.parametrize("codec", list(CODECS))
def test_colors_survive_every_codec(tmp_path: Path, codec: str) -> None:
    settings = replace(SMALL, codec=codec)
    simulate_cohort(tmp_path, settings, participants=1)
    before = next(iter(frames_of(draw(settings, 0), settings.size)))
    with open_clip(tmp_path / "clips/sim00000.mp4") as clip:
        after = next(iter(clip)).rgb()
    mask = make_face(draw_subject(settings, 0).looks, settings.size).masks["skin"] > 0.98
    assert np.abs(before[mask].mean(axis=0) - after[mask].mean(axis=0)).max() < 2


def test_lower_quality_is_a_smaller_file(tmp_path: Path) -> None:
    for codec, worse in (("h264", 35), ("mjpeg", 20)):
        sizes = []
        for quality in (None, worse):
            settings = replace(SMALL, codec=codec, quality=quality)
            folder = tmp_path / f"{codec}-{quality}"
            simulate_cohort(folder, settings, participants=1)
            sizes.append((folder / "clips/sim00000.mp4").stat().st_size)
        assert sizes[1] < 0.6 * sizes[0]


def test_another_simulations_folder_is_refused(tmp_path: Path) -> None:
    simulate_cohort(tmp_path, SMALL, participants=1)
    for other in (replace(SMALL, seed=4), replace(SMALL, lights=("a",))):
        with pytest.raises(UsageError, match=r"sim00000\.mp4"):
            simulate_cohort(tmp_path, other, participants=1)
    (tmp_path / "clips/sim00000.mp4").write_bytes(b"not a clip")
    with pytest.raises(UsageError, match="another folder"):
        simulate_cohort(tmp_path, SMALL, participants=1)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"preset": "hard"}, "easy, paper, realistic, null"),
        ({"seed": -1}, "seed -1"),
        ({"duration_s": 0.0}, "not one frame"),
        ({"duration_s": float("nan")}, "finite"),
        ({"fps": 0.0}, "above 0"),
        ({"fps": float("inf")}, "finite"),
        ({"size": 97}, "even"),
        ({"size": 16}, "64 or more"),
        ({"sensors": ("kodak",)}, "nikon_d5100"),
        ({"lights": ("d65", "moon")}, "moon"),
        ({"lights": ()}, "choose from"),
        ({"codec": "av2"}, "h264, mjpeg"),
        ({"codec": "mjpeg", "quality": 0}, "1 .best. to 31"),
    ],
)
def test_senseless_settings_are_refused(wrong: dict[str, object], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        replace(SMALL, **wrong)


@pytest.mark.parametrize("wrong", ["participants", "sessions", "workers", "first"])
def test_senseless_numbers_are_refused(tmp_path: Path, wrong: str) -> None:
    numbers = {"participants": 1, wrong: -1}
    with pytest.raises(UsageError):
        simulate_cohort(tmp_path / "out", SMALL, **numbers)
    assert not (tmp_path / "out").exists()


def test_an_interrupted_clip_leaves_nothing(tmp_path: Path) -> None:
    def frames():
        yield np.zeros((96, 96, 3), np.uint8)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_clip(tmp_path / "clip.mp4", frames(), time_s=[0.0, 0.1], fps=30, size=96, comment="")
    assert list(tmp_path.iterdir()) == []
    assert comment_of(Path(__file__)) == ""


def test_yuv_conversion_agrees_with_bt709() -> None:
    colors = np.array(
        [[255, 255, 255], [0, 0, 0], [255, 0, 0], [0, 255, 0], [0, 0, 255], [200, 150, 120]]
    )
    # Reference codes of 8-bit limited-range BT.709.
    expected = [(235, 128, 128), (16, 128, 128), (63, 102, 240), (173, 42, 26), (32, 240, 118)]
    for color, codes in zip(colors, expected, strict=False):
        planes = to_yuv420(np.full((4, 4, 3), color, np.uint8), yuv_matrix(CODECS["h264"]))
        assert planes.shape == (6, 4)
        got = planes[0, 0], planes[4, 0], planes[5, 0]
        assert np.abs(np.array(got, int) - codes).max() <= 1


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Settings]:
    settings = Settings("easy", seed=0, size=160)
    folder = tmp_path_factory.mktemp("clips")
    simulate_cohort(folder, settings, participants=2)
    return folder, settings


@pytest.mark.parametrize("index", range(2))
def test_heart_rate_survives_the_encoding(clips: tuple[Path, Settings], index: int) -> None:
    folder, settings = clips
    truth = rows(folder)[index]
    green = tissue_trace(folder / truth["clip"], settings, index)[:, 1]
    assert peak_rate_bpm(green, settings.fps) == pytest.approx(truth["heart_rate_bpm"], abs=1.5)


def test_amplitude_of_the_pulse_survives_the_encoding(clips: tuple[Path, Settings]) -> None:
    folder, settings = clips
    drawn = draw(settings, 0)
    mask = make_face(drawn.subject.looks, settings.size).masks["skin"] > 0.98
    before = np.array([frame[mask].mean(axis=0) for frame in frames_of(drawn, settings.size)])
    after = tissue_trace(folder / "clips/sim00000.mp4", settings, 0)
    time_s = drawn.pulse.time_s / drawn.pulse.time_s[-1] - 0.5
    regressors = np.column_stack([drawn.pulse.volume, np.vander(time_s, 8)])

    def amplitude(trace: np.ndarray) -> np.ndarray:
        solution, *_ = np.linalg.lstsq(regressors, trace / trace.mean(axis=0), rcond=None)
        return solution[0]

    was, now = amplitude(before), amplitude(after)
    assert now[1:] / was[1:] == pytest.approx([1, 1], abs=0.15)
    # Color correction leaves a sixth of the green pulse to red, which 8-bit 4:2:0 does not
    # keep as well: judged by the green one.
    assert abs(now[0] - was[0]) < 0.08 * abs(was[1])
    assert np.abs(after.mean(axis=0) - before.mean(axis=0)).max() < 2.5


def test_anemic_faces_are_paler_in_the_file(tmp_path: Path) -> None:
    # Over people, decoded color follows the hemoglobin that was rendered.
    settings = Settings("easy", seed=11, size=96, duration_s=0.1, sex_cue=False)
    simulate_cohort(tmp_path, settings, participants=20)
    truth = rows(tmp_path)
    traces = [tissue_trace(tmp_path / r["clip"], settings, i) for i, r in enumerate(truth)]
    colors = np.array([trace.mean(axis=0) for trace in traces])
    hemoglobin = [row["hemoglobin_g_dl"] for row in truth]
    melanin = np.log([row["melanin"] for row in truth])
    design = np.column_stack([np.ones(len(truth)), hemoglobin, melanin])
    slope = np.linalg.lstsq(design, np.log(colors[:, 0] / colors[:, 1]), rcond=None)[0][1]
    assert slope > 0
