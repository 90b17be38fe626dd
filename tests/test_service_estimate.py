"""A clip to the result of a job, with a real model, and through a real worker."""

from __future__ import annotations

import asyncio
import json
import shutil
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from described import hold_against, schemas
from encoding import write_clip
from pallor.errors import PallorError, UsageError
from pallor.models.bundle import load_model
from pallor.models.prediction import predict
from pallor.service.app import create_app
from pallor.service.errors import ModelUnknownError
from pallor.service.fhir import observation
from pallor.service.files import FileStore
from pallor.service.jobs.estimate_job import Work, prepare
from pallor.service.jobs.supervisor import Supervisor
from pallor.service.settings import ServiceSettings, UploadLimits
from pallor.service.store.engine import open_store
from pallor.service.store.job import Job
from pallor.service.store.jobs import JobStore
from portrait import portrait, pulsing
from service_model import SmallModel, small_model

__all__ = ["small_model"]

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("service_estimate")]

WOMAN = {"sex": "female", "age_years": 30, "altitude_m": 1200, "smoking": "no"}


def silent(_stage: str, _share: float) -> None:
    pass


@pytest.fixture(scope="module")
def work(small_model: SmallModel, tmp_path_factory: pytest.TempPathFactory) -> Work:
    data = tmp_path_factory.mktemp("data")
    return prepare(ServiceSettings(data, models=(small_model.model,)))


@pytest.fixture(scope="module")
def result(work: Work, small_model: SmallModel) -> Mapping[str, Any]:
    return work(small_model.clip, WOMAN, silent)


def test_the_number_is_that_of_predict(result: Mapping[str, Any], small_model: SmallModel) -> None:
    alone = predict(load_model(small_model.model), small_model.clip, sex="female", age_years=30)
    for name in (
        "usable", "hemoglobin_g_dl", "interval_low_g_dl", "interval_high_g_dl", "coverage",
        "heart_rate_bpm", "snr_db", "model", "simulated", "duration_s",
    ):  # fmt: skip
        assert result[name] == getattr(alone, name), name
    assert result["usable"] and result["hemoglobin_g_dl"] is not None


def test_simulated_stays_simulated(result: Mapping[str, Any]) -> None:
    assert result["simulated"] is True and result["model_card"]["simulated"] is True
    assert result["model_card"]["summary"].startswith("SIMULATED")
    assert "Not a medical device" in result["notice"]


def test_the_result_is_json_without_the_path(
    result: Mapping[str, Any], small_model: SmallModel
) -> None:
    text = json.dumps(result, allow_nan=False)
    assert str(small_model.clip) not in text and small_model.clip.name not in text
    assert str(small_model.model.parent) not in text
    assert json.loads(text) == result and result["clip"] == "clip"


def test_results_are_as_they_are_described(
    result: Mapping[str, Any], work: Work, small_model: SmallModel, tmp_path: Path
) -> None:
    photograph = write_clip(tmp_path / "still.mp4", pulsing(np.arange(200) / 30, amplitude=0.0))
    noise = np.random.default_rng(0).integers(0, 255, (180, 120, 160, 3), dtype=np.uint8)
    faceless = write_clip(tmp_path / "noise.mp4", iter(noise))
    Image.fromarray(portrait(320)).save(tmp_path / "face.png")
    found = [work(path, WOMAN, silent) for path in (photograph, faceless, tmp_path / "face.png")]
    assert [told["usable"] for told in found] == [False] * 3
    assert len({reason["code"] for told in found for reason in told["reasons"]}) == 3
    for told in (result, work(small_model.clip, {}, silent), *found):
        served = {name: value for name, value in told.items() if name != "clip"}
        hold_against(served, "EstimateResult")
        assert set(served) == set(schemas()["EstimateResult"]["properties"])
    # What is stored with more, such as by a later version, is described as well as served.
    assert schemas()["EstimateResult"]["additionalProperties"] is True


def test_the_state_and_the_models_are_as_they_are_described(
    result: Mapping[str, Any], small_model: SmallModel, tmp_path: Path
) -> None:
    settings = ServiceSettings(tmp_path / "data", models=(small_model.model,))
    app = create_app(settings)
    jobs = app.state.services.jobs
    job = jobs.create("estimate", None, WOMAN)
    jobs.claim("worker")
    jobs.finish(job.id, {**result, "later": {"more": 1}})

    async def asked() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return [await client.get(path) for path in (f"/v1/estimates/{job.id}", "/v1/models")]

    state, models = (answer.json() for answer in asyncio.run(asked()))
    # Nothing is dropped or turned into something else on the way.
    assert state["result"].pop("later") == {"more": 1}
    assert state["result"] == {name: value for name, value in result.items() if name != "clip"}
    hold_against(state, "EstimateState")
    hold_against(models, "ModelList")
    [card] = models["models"]
    assert card == dict(app.state.services.models.cards[card["id"]])
    assert card["name"] == "small"
    described = schemas()["ModelList"]["properties"]["models"]["items"]
    assert set(card) <= set(described["properties"])


def test_the_pulse_wave_beats_at_the_heart_rate(result: Mapping[str, Any]) -> None:
    time_s, pulse = (np.array(result["pulse_wave"][name]) for name in ("time_s", "pulse"))
    assert len(time_s) == len(pulse) <= 600 and np.all(np.diff(time_s) > 0)
    rate_hz = 1.0 / float(np.mean(np.diff(time_s)))
    spectrum = np.abs(np.fft.rfft(pulse * np.hanning(len(pulse)), 8192))
    peak_bpm = 60.0 * float(np.argmax(spectrum)) * rate_hz / 8192
    assert abs(peak_bpm - result["heart_rate_bpm"]) < 5.0


def test_anemia_of_the_person(result: Mapping[str, Any]) -> None:
    anemia = result["anemia"]
    # Women: 120, 110, 80 g/L; at 1200 m the guideline adds 8 g/L.
    assert anemia["group"]["name"] == "women" and anemia["unknown"] is None
    assert anemia["limits_g_dl"] == {
        "severe_below": 8.8, "moderate_below": 11.8, "mild_below": 12.8,
    }  # fmt: skip
    value = result["hemoglobin_g_dl"]
    expected = (
        "none" if value >= 12.8 else "mild" if value >= 11.8 else "moderate" if value >= 8.8
        else "severe"
    )  # fmt: skip
    assert anemia["severity"] == expected
    assert anemia["assumptions"] == ["taken_as_not_pregnant"]


def test_a_coverage_beyond_the_model_is_told(work: Work, small_model: SmallModel) -> None:
    result = work(small_model.clip, {**WOMAN, "coverage": 0.95}, silent)
    assert result["hemoglobin_g_dl"] is not None and result["interval_low_g_dl"] is None
    (said,) = [w["text"] for w in result["warnings"] if w["code"] == "no_interval"]
    assert said.startswith("an interval of coverage 0.95 needs 19 residuals, the model has 12")
    notes = observation(result, issued=datetime.now(UTC))["note"]
    assert f"Warning: {said}" in [note["text"] for note in notes]
    within = work(small_model.clip, WOMAN, silent)
    assert "no_interval" not in [w["code"] for w in within["warnings"]]


def test_nobody_known_is_no_group(work: Work, small_model: SmallModel) -> None:
    anemia = work(small_model.clip, {}, silent)["anemia"]
    assert anemia["group"] is None and anemia["severity"] is None
    assert anemia["unknown"]["code"] == "age_unknown"


def test_a_photograph_gives_reasons_and_no_number_and_no_wave(work: Work, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "still.mp4", pulsing(np.arange(200) / 30, amplitude=0.0))
    result = work(clip, WOMAN, silent)
    assert not result["usable"] and result["hemoglobin_g_dl"] is None
    assert [reason["code"] for reason in result["reasons"]] == ["no_pulse"]
    assert str(tmp_path) not in json.dumps(result)
    assert result["pulse_wave"] is None and result["quality"]["usable"] is False
    assert result["anemia"]["severity"] is None and result["anemia"]["limits_g_dl"] is not None


def test_no_face_is_a_result_too(work: Work, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frames = (rng.integers(0, 255, (120, 160, 3), dtype=np.uint8) for _ in range(180))
    result = work(write_clip(tmp_path / "noise.mp4", frames), {}, silent)
    assert not result["usable"] and result["reasons"][0]["code"] == "no_face"
    assert result["quality"] is None and result["simulated"] is True


@pytest.mark.parametrize(
    ("content", "code"), [(b"not a video" * 99, "not_a_video"), (b"", "empty")]
)
def test_what_is_no_clip_is_refused_without_its_path(
    work: Work, tmp_path: Path, content: bytes, code: str
) -> None:
    path = tmp_path / "upload"
    path.write_bytes(content)
    with pytest.raises(PallorError) as caught:
        work(path, {}, silent)
    assert caught.value.code == code and str(tmp_path) not in caught.value.text


def test_limits_hold(small_model: SmallModel, tmp_path: Path) -> None:
    for limits, code in (
        (UploadLimits(max_duration_s=2.0), "too_long"),
        (UploadLimits(max_pixels=100), "too_large"),
        (UploadLimits(max_bytes=1000), "too_large"),
    ):
        settings = ServiceSettings(tmp_path, models=(small_model.model,), limits=limits)
        with pytest.raises(PallorError) as caught:
            prepare(settings)(small_model.clip, {}, silent)
        assert caught.value.code == code


def test_progress_only_rises_and_names_its_stages(work: Work, small_model: SmallModel) -> None:
    said: list[tuple[str, float]] = []
    work(small_model.clip, WOMAN, lambda stage, share: said.append((stage, share)))
    shares = [share for _, share in said]
    assert shares == sorted(shares) and shares[0] == 0.0 and shares[-1] == 1.0
    assert list(dict.fromkeys(stage for stage, _ in said)) == ["loading", "reading", "measuring"]
    assert len(said) > 5


def test_models_by_name_and_id(work: Work, small_model: SmallModel, tmp_path: Path) -> None:
    model_id = load_model(small_model.model).model_id
    for name in ("small", model_id):
        assert work(small_model.clip, {"model": name}, silent)["model"] == model_id
    with pytest.raises(ModelUnknownError, match="small"):
        work(small_model.clip, {"model": "../large"}, silent)
    with pytest.raises(ModelUnknownError, match="--model"):
        prepare(ServiceSettings(tmp_path))(small_model.clip, {}, silent)


def test_a_model_file_that_was_replaced_is_told_and_not_used(
    small_model: SmallModel, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = ServiceSettings(tmp_path, models=(small_model.model,))
    prepare(replace(settings, model_ids=(load_model(small_model.model).model_id,)))
    assert caplog.messages == []
    before = "0" * 16
    work = prepare(replace(settings, model_ids=(before,)))
    (line,) = caplog.messages
    assert "replaced" in line and str(small_model.model) in line and "restart" in line
    with pytest.raises(ModelUnknownError, match="operator to restart"):
        work(small_model.clip, {"model": before}, silent)


def test_options_are_checked(work: Work, small_model: SmallModel) -> None:
    with pytest.raises(UsageError, match="sex"):
        work(small_model.clip, {"sex": "x"}, silent)


def _finished(jobs: JobStore, job: Job) -> tuple[Job, list[float]]:
    shares, end = [], time.monotonic() + 60
    while True:
        found = jobs.get(job.id)
        assert found is not None and time.monotonic() < end
        shares.append(found.share)
        if found.finished:
            return found, shares
        time.sleep(0.05)


def test_through_a_worker(small_model: SmallModel, tmp_path: Path, work: Work) -> None:
    settings = ServiceSettings(tmp_path / "data", models=(small_model.model,))
    store, files = open_store(settings), FileStore(settings.uploads)
    jobs = JobStore(store)

    def submit(clip: Path | None, **options: object) -> Job:
        token, path, file = files.create()
        with file:
            if clip is not None:
                shutil.copyfile(clip, path)
        return jobs.create("estimate", token, options)

    with Supervisor(settings, store):
        good, broken = submit(small_model.clip, **WOMAN), submit(None)
        done, shares = _finished(jobs, good)
        assert done.state == "done", done.text
        assert done.result == work(small_model.clip, WOMAN, silent)
        assert shares == sorted(shares) and len(set(shares)) > 3
        failed, _ = _finished(jobs, broken)
        assert (failed.state, failed.code) == ("failed", "empty")
        assert failed.text is not None and str(tmp_path) not in failed.text
    assert list(settings.uploads.iterdir()) == []
    store.close()


@pytest.mark.parametrize("mebibytes", [12, 28])
def test_a_real_clip_without_memory_says_so(
    small_model: SmallModel, tmp_path: Path, mebibytes: int
) -> None:
    settings = ServiceSettings(
        tmp_path / "data", models=(small_model.model,), job_memory_bytes=mebibytes * 2**20
    )
    store, files = open_store(settings), FileStore(settings.uploads)
    jobs = JobStore(store)
    token, path, file = files.create()
    with file:
        shutil.copyfile(small_model.clip, path)
    with Supervisor(settings, store):
        found, _ = _finished(jobs, jobs.create("estimate", token, WOMAN))
    # Where a library ends the process instead of saying so, two workers are lost.
    assert found.state == "failed"
    assert found.code in ("memory_limit", "crashed"), (found.code, found.text)
    assert list(settings.uploads.iterdir()) == []
    store.close()
