from __future__ import annotations

import csv
import hashlib
from pathlib import Path

import av
import numpy as np
import pytest

from pallor.cohort.table import read_cohort
from pallor.errors import UsageError
from pallor.simulation.cohort import Settings, draw, frames_of, simulate_cohort
from pallor.simulation.encoding import comment_of, to_yuv420, write_clip
from pallor.simulation.face import make_face

SMALL = {"size": 96, "duration_s": 0.5, "seed": 3}


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def tissue_trace(clip: Path, settings: Settings, index: int) -> np.ndarray:
    """Mean R, G, B of the skin in each decoded frame."""
    mask = make_face(draw(settings, index).looks, settings.size).masks["skin"] > 0.98
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
    simulate_cohort(tmp_path / "a", participants=2, **SMALL)
    simulate_cohort(tmp_path / "b", participants=2, workers=2, **SMALL)
    first = digests(tmp_path / "a")
    assert first == digests(tmp_path / "b")
    assert sorted(first) == [
        "clips/sim00000.mp4",
        "clips/sim00001.mp4",
        "cohort.csv",
        "truth.csv",
    ]
    assert first["clips/sim00000.mp4"] != first["clips/sim00001.mp4"]


def test_a_cohort_grows_without_changing(tmp_path: Path) -> None:
    simulate_cohort(tmp_path / "a", participants=1, **SMALL)
    before = (tmp_path / "a/clips/sim00000.mp4").stat()
    seen: list[tuple[int, int, str]] = []
    simulate_cohort(
        tmp_path / "a", participants=3, progress=lambda *args: seen.append(args), **SMALL
    )
    after = (tmp_path / "a/clips/sim00000.mp4").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
    assert seen == [(2, 3, "sim00001.mp4"), (3, 3, "sim00002.mp4")]
    simulate_cohort(tmp_path / "b", participants=1, first=2, **SMALL)
    assert rows(tmp_path / "a/truth.csv")[2] == rows(tmp_path / "b/truth.csv")[0]
    clip = "clips/sim00002.mp4"
    assert (tmp_path / "a" / clip).read_bytes() == (tmp_path / "b" / clip).read_bytes()


def test_the_table_is_a_cohort_table(tmp_path: Path) -> None:
    path = simulate_cohort(tmp_path, participants=2, **SMALL)
    assert path == tmp_path / "cohort.csv"
    cohort = read_cohort(path, check_files=True)
    frame = cohort.frame
    assert frame["reference_method"].tolist() == ["simulated"] * 2
    assert frame["simulated"].tolist() == [True, True]
    assert set(frame["sex"]) == {"female", "male"}
    truth = rows(tmp_path / "truth.csv")
    assert frame["hemoglobin_g_dl"].tolist() == [float(row["hemoglobin_g_dl"]) for row in truth]


def test_clips_say_that_they_are_simulated_and_carry_no_date(tmp_path: Path) -> None:
    simulate_cohort(tmp_path, participants=1, **SMALL)
    with av.open(str(tmp_path / "clips/sim00000.mp4")) as container:
        assert container.metadata["comment"].startswith("SIMULATED by pallor")
        assert "creation_time" not in container.metadata
        stream = container.streams.video[0]
        assert "creation_time" not in stream.metadata
        assert (stream.width, stream.height, stream.frames) == (96, 96, 15)
        assert float(stream.average_rate) == 30


def test_another_simulations_folder_is_refused(tmp_path: Path) -> None:
    simulate_cohort(tmp_path, participants=1, **SMALL)
    with pytest.raises(UsageError, match=r"sim00000\.mp4"):
        simulate_cohort(tmp_path, participants=1, **{**SMALL, "seed": 4})
    (tmp_path / "clips/sim00000.mp4").write_bytes(b"not a clip")
    with pytest.raises(UsageError, match="another folder"):
        simulate_cohort(tmp_path, participants=1, **SMALL)


@pytest.mark.parametrize(
    "wrong",
    [
        {"preset": "hard"},
        {"participants": 0},
        {"workers": 0},
        {"first": -1},
        {"seed": -1},
        {"duration_s": 0.0},
        {"duration_s": float("nan")},
        {"fps": 0.0},
        {"fps": float("inf")},
        {"size": 97},
        {"size": 16},
    ],
)
def test_senseless_arguments_are_refused(tmp_path: Path, wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        simulate_cohort(tmp_path / "out", **{"participants": 1, **SMALL, **wrong})
    assert not (tmp_path / "out").exists()


def test_an_interrupted_clip_leaves_nothing(tmp_path: Path) -> None:
    def frames():
        yield np.zeros((96, 96, 3), np.uint8)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_clip(tmp_path / "clip.mp4", frames(), fps=30, size=96, comment="")
    assert list(tmp_path.iterdir()) == []
    assert comment_of(Path(__file__)) == ""


def test_yuv_conversion_agrees_with_bt709() -> None:
    colors = np.array(
        [[255, 255, 255], [0, 0, 0], [255, 0, 0], [0, 255, 0], [0, 0, 255], [200, 150, 120]]
    )
    # Reference codes of 8-bit limited-range BT.709.
    expected = [(235, 128, 128), (16, 128, 128), (63, 102, 240), (173, 42, 26), (32, 240, 118)]
    for color, codes in zip(colors, expected, strict=False):
        planes = to_yuv420(np.full((4, 4, 3), color, np.uint8))
        assert planes.shape == (6, 4)
        got = planes[0, 0], planes[4, 0], planes[5, 0]
        assert np.abs(np.array(got, int) - codes).max() <= 1


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Settings]:
    settings = Settings("easy", seed=0, size=160)
    folder = tmp_path_factory.mktemp("clips")
    simulate_cohort(folder, participants=2, size=160)
    return folder, settings


@pytest.mark.parametrize("index", range(2))
def test_heart_rate_survives_the_encoding(clips: tuple[Path, Settings], index: int) -> None:
    folder, settings = clips
    truth = rows(folder / "truth.csv")[index]
    green = tissue_trace(folder / truth["clip"], settings, index)[:, 1]
    assert peak_rate_bpm(green, settings.fps) == pytest.approx(
        float(truth["heart_rate_bpm"]), abs=1.5
    )


def test_amplitude_of_the_pulse_survives_the_encoding(clips: tuple[Path, Settings]) -> None:
    folder, settings = clips
    drawn = draw(settings, 0)
    mask = make_face(drawn.looks, settings.size).masks["skin"] > 0.98
    before = np.array([frame[mask].mean(axis=0) for frame in frames_of(settings, 0)])
    after = tissue_trace(folder / "clips/sim00000.mp4", settings, 0)
    time_s = drawn.pulse.time_s / drawn.pulse.time_s[-1] - 0.5
    regressors = np.column_stack([drawn.pulse.volume, np.vander(time_s, 8)])

    def amplitude(trace: np.ndarray) -> np.ndarray:
        solution, *_ = np.linalg.lstsq(regressors, trace / trace.mean(axis=0), rcond=None)
        return solution[0]

    assert amplitude(after) / amplitude(before) == pytest.approx([1, 1, 1], abs=0.15)
    assert np.abs(after.mean(axis=0) - before.mean(axis=0)).max() < 2.5


def test_anemic_faces_are_paler_in_the_file(tmp_path: Path) -> None:
    # Over people, decoded color follows the hemoglobin that was rendered.
    settings = Settings("easy", seed=11, size=96, duration_s=0.1, sex_cue=False)
    simulate_cohort(tmp_path, participants=20, seed=11, size=96, duration_s=0.1, sex_cue=False)
    truth = rows(tmp_path / "truth.csv")
    traces = [tissue_trace(tmp_path / r["clip"], settings, i) for i, r in enumerate(truth)]
    colors = np.array([trace.mean(axis=0) for trace in traces])
    hemoglobin = [float(row["hemoglobin_g_dl"]) for row in truth]
    melanin = np.log([float(row["melanin"]) for row in truth])
    design = np.column_stack([np.ones(len(truth)), hemoglobin, melanin])
    slope = np.linalg.lstsq(design, np.log(colors[:, 0] / colors[:, 1]), rcond=None)[0][1]
    assert slope > 0
