"""The check of a study's clip: what it finds, and that nothing that befalls it costs the clip."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from described import hold_against, schemas
from encoding import write_clip
from pallor.errors import ClipError, PallorError
from pallor.service.api.study_words import ClipWords
from pallor.service.jobs.clip_check import prepare
from pallor.service.settings import ServiceSettings, UploadLimits
from pallor.service.store.engine import Store
from pallor.service.store.job import CLIP_CHECK
from pallor.service.store.jobs import JobStore
from service_databases import postgres, settings, store
from service_jobs import Service, is_alive, kill, server, service, supervised, until

__all__ = ["postgres", "service", "settings", "store"]

pytestmark = pytest.mark.slow

KEYS = {
    *("usable", "reasons", "warnings", "simulated"),
    *("duration_s", "fps", "frames", "face_coverage", "heart_rate_bpm", "snr_db"),
}


def silent(_stage: str, _share: float) -> None:
    pass


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from served import succeed

    folder = tmp_path_factory.mktemp("clips")
    succeed("simulate", folder, "--preset", "easy", "--participants", 1, "--duration", 10)
    return next(iter(sorted((folder / "clips").glob("*.mp4"))))


def test_a_good_clip_is_usable_and_a_simulated_one_is_told(clip: Path, tmp_path: Path) -> None:
    said: list[tuple[str, float]] = []
    work = prepare(ServiceSettings(tmp_path))
    found = work(clip, {}, lambda stage, share: said.append((stage, share)))
    assert set(found) == KEYS
    assert found["usable"] is True and found["reasons"] == [] and found["simulated"] is True
    assert found["frames"] > 200 and 9 < found["duration_s"] < 11
    assert 40 < found["heart_rate_bpm"] < 180
    hold_against(found, "ClipCheck")
    assert str(clip) not in json.dumps(found, allow_nan=False)
    shares = [share for _, share in said]
    assert shares == sorted(shares) and shares[0] == 0.0 and shares[-1] == 1.0


def test_a_clip_without_a_face_is_a_result_that_still_says_simulated(tmp_path: Path) -> None:
    frames = [np.full((128, 128, 3), 90, dtype=np.uint8)] * 40
    work = prepare(ServiceSettings(tmp_path / "data"))
    for metadata in ({"comment": "SIMULATED"}, {}):
        path = write_clip(tmp_path / "gray.mkv", frames, 15, "libx264", metadata=metadata)
        found = work(path, {}, silent)
        assert set(found) == KEYS
        assert found["usable"] is False and found["heart_rate_bpm"] is None
        assert found["simulated"] is bool(metadata)
        hold_against(found, "ClipCheck")
        assert [set(reason) for reason in found["reasons"]] == [{"code", "text"}]
        assert str(tmp_path) not in json.dumps(found)


def test_a_still_has_no_pulse(tmp_path: Path) -> None:
    from portrait import portrait

    Image.fromarray(portrait(320)).save(tmp_path / "face.png")
    found = prepare(ServiceSettings(tmp_path / "data"))(tmp_path / "face.png", {}, silent)
    assert found["usable"] is False and found["heart_rate_bpm"] is None
    assert str(tmp_path) not in json.dumps(found)
    hold_against(found, "ClipCheck")


def test_what_is_found_passes_as_it_is() -> None:
    check = {"usable": True, "frames": 300, "duration_s": 10, "later": [1, 2.0]}
    clip = {
        "id": 1, "camera": None, "bytes": 9, "sha256": "0" * 64, "simulated": False,
        "created_s": 1.5, "state": "done", "share": 1, "usable": True, "check": check,
        "code": None, "text": None,
    }  # fmt: skip
    served = ClipWords.model_validate(clip).model_dump_json()
    # In this order and with an integer that stays one.
    assert json.dumps(check, separators=(",", ":")) in served
    assert schemas()["ClipWords"]["properties"]["check"]["anyOf"][0] == {
        "$ref": "#/components/schemas/ClipCheck"
    }


def test_what_is_no_clip_and_what_exceeds_the_limits_fails(clip: Path, tmp_path: Path) -> None:
    (tmp_path / "junk").write_bytes(b"\0\0\0\x18ftypisom" + b"\0" * 500)
    with pytest.raises(ClipError):
        prepare(ServiceSettings(tmp_path / "data"))(tmp_path / "junk", {}, silent)
    short = ServiceSettings(tmp_path / "data", limits=UploadLimits(max_duration_s=2.0))
    with pytest.raises(PallorError) as caught:
        prepare(short)(clip, {}, silent)
    assert caught.value.code == "too_long"


def test_through_a_worker_the_clip_stays(clip: Path, tmp_path: Path) -> None:
    from pallor.service.jobs.supervisor import Supervisor
    from pallor.service.store.engine import open_store

    settings = ServiceSettings(tmp_path / "data")
    store = open_store(settings)
    own = Service(settings, store)
    token, path, file = own.clips.create()
    with file:
        shutil.copyfile(clip, path)
    with Supervisor(settings, store):
        done = own.finished(own.jobs.create(CLIP_CHECK, token, {}))
    assert done.result is not None, done.text
    assert done.result == prepare(settings)(clip, {}, silent)
    assert path.read_bytes() == clip.read_bytes()
    store.close()


# --- whatever befalls the check: it ends, and the clip is there --------------------------------


def test_a_killed_worker(
    settings: ServiceSettings, store: Store, service: Service, tmp_path: Path
) -> None:
    with supervised(settings, store) as supervisor:
        job = service.check("of a study", do="sleep_once", s=60, mark=str(tmp_path / "mark"))
        service.running(job)
        (pid,) = supervisor.status().pids
        kill(pid)
        done = service.finished(job, within_s=15.0)
        assert (done.state, done.attempts) == ("done", 2)
    assert service.kept(job) == "of a study"


def test_a_killed_server(
    settings: ServiceSettings, store: Store, service: Service, tmp_path: Path
) -> None:
    first = server(settings)
    assert first.stdout is not None
    (pid,) = map(int, first.stdout.readline().split())
    job = service.check("of a study", do="sleep_once", s=60, mark=str(tmp_path / "mark"))
    waiting = service.check("waits")
    service.running(job)
    kill(first.pid)
    until(lambda: not is_alive(pid), 2.0)
    first.wait()
    first.stdout.close()
    assert service.get(job).state == "running"
    with supervised(settings, store):
        done = service.finished(job)
        assert (done.state, done.attempts) == ("done", 2)
        assert service.finished(waiting).state == "done"
    assert (service.kept(job), service.kept(waiting)) == ("of a study", "waits")


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"do": "crash"}, "crashed"),
        ({"do": "hang"}, "time_limit"),
        ({"do": "memory", "bytes": 600 * 2**20}, "memory_limit"),
        ({"do": "refuse"}, "clip"),
        ({"do": "fault"}, "internal"),
    ],
)
def test_a_check_that_fails_says_why(
    settings: ServiceSettings, store: Store, service: Service, options: dict[str, object], code: str
) -> None:
    with supervised(
        settings, store, job_time_limit_s=2.0, job_memory_bytes=300 * 2**20
    ) as supervisor:
        bad, good = service.check("bad", **options), service.check("good")
        failed = service.finished(bad)
        assert (failed.state, failed.code) == ("failed", code)
        assert failed.text and str(settings.data) not in failed.text
        assert service.finished(good).state == "done"
        assert supervisor.status().alive == 1
    assert (service.kept(bad), service.kept(good)) == ("bad", "good")


def test_a_stop_and_a_start(
    settings: ServiceSettings, store: Store, service: Service, tmp_path: Path
) -> None:
    with supervised(settings, store):
        job = service.check("of a study", do="sleep_once", s=60, mark=str(tmp_path / "mark"))
        service.running(job)
    assert (service.get(job).state, service.get(job).attempts) == ("queued", 0)
    with supervised(settings, store):
        assert service.finished(job).state == "done"
    assert service.kept(job) == "of a study"


def test_a_job_that_is_deleted_ends_its_worker_and_not_the_clip(
    settings: ServiceSettings, store: Store, service: Service
) -> None:
    with supervised(settings, store) as supervisor:
        job = service.check(do="hang")
        service.running(job)
        (pid,) = supervisor.status().pids
        service.jobs.delete(job.id)
        until(lambda: not is_alive(pid), 10.0)
        assert service.finished(service.check("next")).state == "done"
    assert service.kept(job) == "clip"


def test_a_clip_that_is_gone_fails(
    settings: ServiceSettings, store: Store, service: Service
) -> None:
    job = service.check()
    service.clips.delete(job.file_token)
    with supervised(settings, store):
        assert service.finished(job).code == "upload_missing"


def test_a_kind_that_is_not_known_fails_and_deletes_nothing(
    settings: ServiceSettings, store: Store, service: Service
) -> None:
    token, path, file = service.files.create()
    file.close()
    with supervised(settings, store):
        assert service.finished(JobStore(store).create("later", token, {})).code == "internal"
    assert path.exists()
