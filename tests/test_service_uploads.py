"""The form that streams, against every way of cutting it up, and answers to what nobody foresaw."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.requests import Request

from pallor.service import answers, uploads
from pallor.service.api import events
from pallor.service.api.arrivals import MAX_UPLOADS_OF_KEY, MAX_WAITING_OF_OWNER
from pallor.service.api.events import MAX_STREAMS, MAX_STREAMS_OF_KEY, refuse_too_many
from pallor.service.app import create_app
from pallor.service.errors import StoreError
from pallor.service.model_cards import LoadedModels
from pallor.service.refusals import (
    BusyError,
    ClientGoneError,
    InvalidRequestError,
    MalformedUploadError,
    RefusalError,
    TooLargeError,
    TooSlowError,
    WrongTypeError,
)
from pallor.service.security.rate_limits import Rate, Rates
from pallor.service.settings import ServiceSettings
from pallor.service.store.keys import Role
from pallor.service.uploads import Upload, read_body, receive_upload, take_all

HEAD = b"\0\0\0\x18ftypisom\0\0\0\0"
CLIP = HEAD + bytes(range(256)) * 40
CARD = {"id": "0" * 16, "name": "small", "simulated": True}


def part(name: str, content: bytes, filename: str | None = None) -> bytes:
    file = "" if filename is None else f'; filename="{filename}"'
    return (
        f'--edge\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'.encode()
        + content
        + b"\r\n"
    )


def form(*parts: bytes) -> bytes:
    return b"".join(parts) + b"--edge--\r\n"


class Kept(BytesIO):
    """A file whose content can be looked at after it was closed."""


def read(
    pieces: list[bytes],
    limit: int = 100_000,
    check: Callable[[Mapping[str, str]], object] = take_all,
    kind: str = "multipart/form-data; boundary=edge",
    last: str = "http.request",
    **headers: str,
) -> tuple[Upload, bytes]:
    waiting = [*pieces]
    made: list[Kept] = []

    async def receive() -> dict[str, Any]:
        if waiting:
            return {"type": "http.request", "body": waiting.pop(0), "more_body": True}
        if last == "stall":
            await asyncio.sleep(60)
        return {"type": last, "body": b"", "more_body": False}

    def target() -> Kept:
        made.append(Kept())
        return made[0]

    raw = [(b"content-type", kind.encode())]
    raw += [(k.replace("_", "-").encode(), v.encode()) for k, v in headers.items()]
    request = Request({"type": "http", "method": "POST", "headers": raw}, receive)
    upload = asyncio.run(receive_upload(request, target, limit, check))
    assert len(made) == 1
    return upload, made[0].getvalue()


@settings(deadline=None)
@given(size=st.integers(1, 300))
def test_however_it_is_cut_the_same_arrives(size: int) -> None:
    body = form(part("sex", b"female"), part("file", CLIP, "a.mp4"), part("age_years", b" 30 "))
    upload, content = read([body[i : i + size] for i in range(0, len(body), size)])
    assert content == CLIP
    assert upload.fields == {"sex": "female", "age_years": "30"}
    assert (upload.size, upload.kind) == (len(CLIP), "mp4")
    assert upload.sha256 == hashlib.sha256(CLIP).hexdigest()


def test_a_file_of_exactly_the_limit_passes() -> None:
    body = form(part("file", CLIP, "a"))
    assert read([body], len(CLIP))[0].size == len(CLIP)
    with pytest.raises(TooLargeError):
        read([body], len(CLIP) - 1)


def test_a_stated_length_is_enough_to_refuse() -> None:
    with pytest.raises(TooLargeError):
        read([], content_length="1" + "0" * 50)


def test_fields_before_the_file_are_checked_before_it_is_read() -> None:
    begun = form(part("sex", b"f"), part("file", CLIP, "a"), part("age_years", b"30"))
    seen: list[dict[str, str]] = []

    def refuse(fields: Mapping[str, str]) -> None:
        seen.append(dict(fields))
        raise InvalidRequestError("sex is 'f'")

    # The rest would never come: the answer does not wait for it.
    with pytest.raises(InvalidRequestError):
        read([begun[: begun.index(CLIP) + 10]], check=refuse, last="stall")
    assert seen == [{"sex": "f"}]


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", MalformedUploadError),
        (b"nonsense", MalformedUploadError),
        (form(part("file", CLIP))[:-20], MalformedUploadError),
        (form(), MalformedUploadError),
        (form(part("sex", b"female")), MalformedUploadError),
        (form(part("file", b"")), MalformedUploadError),
        (form(part("file", b"MZ")), WrongTypeError),
        (form(part("file", b"#EXTM3U\nhttp://127.0.0.1/")), WrongTypeError),
        (form(part("file", CLIP), part("file", CLIP)), MalformedUploadError),
        (form(part("other", CLIP, "a.mp4")), MalformedUploadError),
        (form(part("sex", b"a"), part("sex", b"b")), MalformedUploadError),
        (form(part("sex", b"\xff\xfe")), MalformedUploadError),
        (form(part("sex", b"x" * 2000)), MalformedUploadError),
        (form(*(part(f"f{n}", b"") for n in range(30))), MalformedUploadError),
        (form(part("", b"")), MalformedUploadError),
        (form(part("file", CLIP)) + b"x" * 200_000, MalformedUploadError),
        (b"--edge\r\n" + b"X-A: b\r\n" * 3000 + b"\r\n", MalformedUploadError),
        (b"--edge\r\nX: " + b"y" * 100_000, MalformedUploadError),
        (b"x" * 300_000, MalformedUploadError),
    ],
)
@pytest.mark.parametrize("size", [64, 10**6])
def test_what_is_no_form_with_a_clip(body: bytes, error: type[RefusalError], size: int) -> None:
    with pytest.raises(error):
        read([body[i : i + size] for i in range(0, len(body), size)])


@pytest.mark.parametrize(
    "kind", ["", "application/json", "multipart/form-data", "multipart/mixed; boundary=edge"]
)
def test_another_kind_of_body(kind: str) -> None:
    with pytest.raises(WrongTypeError):
        read([form(part("file", CLIP))], kind=kind)


def test_who_stands_still_or_goes_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "STALL_S", 0.05)
    begun = form(part("file", CLIP))[:500]
    with pytest.raises(TooSlowError):
        read([begun], last="stall")
    with pytest.raises(ClientGoneError):
        read([begun], last="http.disconnect")


def test_a_small_body_has_less_time_than_a_clip(monkeypatch: pytest.MonkeyPatch) -> None:
    async def drip() -> dict[str, Any]:
        await asyncio.sleep(0.02)
        return {"type": "http.request", "body": b"x", "more_body": True}

    assert uploads.SMALL_BODY_S <= 10
    monkeypatch.setattr(uploads, "SMALL_BODY_S", 0.2)
    request = Request({"type": "http", "method": "POST", "headers": []}, drip)
    with pytest.raises(TooSlowError):
        asyncio.run(asyncio.wait_for(read_body(request, 1000), 5))


@pytest.fixture
def app(tmp_path: Path) -> FastAPI:
    app = create_app(ServiceSettings(data=tmp_path / "data"))
    # No worker is started: a card is enough of a model.
    app.state.services = replace(app.state.services, models=LoadedModels({"0" * 16: CARD}))
    return app


def ask(app: FastAPI, method: str, path: str, **options: Any) -> httpx.Response:
    async def go() -> httpx.Response:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.request(method, path, **options)

    coroutine: Coroutine[Any, Any, httpx.Response] = go()
    return asyncio.run(coroutine)


def raising(error: Exception) -> Callable[..., Any]:
    def broken(*_arguments: object) -> Any:
        raise error

    return broken


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (ZeroDivisionError("/srv/secret.py"), 500, "internal"),
        (StoreError("/srv/secret.db: the database does not answer"), 503, "busy"),
    ],
)
def test_what_nobody_foresaw_tells_nothing(
    app: FastAPI, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int, code: str
) -> None:
    monkeypatch.setattr(app.state.services.jobs, "get", raising(error))
    answer = ask(app, "GET", "/v1/estimates/" + "a" * 32)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert "secret" not in answer.text
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_full_queue_and_a_full_disk_are_said(
    app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {"file": ("a.mp4", CLIP)}
    services = app.state.services
    with monkeypatch.context() as patch:
        patch.setattr(services.jobs, "counts", lambda: {"queued": 10_000})
        answer = ask(app, "POST", "/v1/estimates", files=files)
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) >= 1
    with monkeypatch.context() as patch:
        import shutil

        patch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 9, 1))
        answer = ask(app, "POST", "/v1/estimates", files=files)
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "busy")
    assert list(services.files.folder.iterdir()) == []


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"sex": "robot"}, "sex"),
        ({"age_years": "-1"}, "age_years"),
        ({"age_years": "nan"}, "age_years"),
        ({"age_years": "1_0"}, "age_years"),
        ({"altitude_m": "8000"}, "altitude_m"),
        ({"coverage": "1"}, "coverage"),
        ({"coverage": "1e-9"}, "coverage"),
        ({"smoking": "like a chimney"}, "smoking"),
        ({"nonsense": "1"}, "nonsense"),
    ],
)
def test_a_field_that_makes_no_sense_is_named_and_nothing_stays(
    app: FastAPI, fields: dict[str, str], says: str
) -> None:
    answer = ask(app, "POST", "/v1/estimates", files={"file": ("a.mp4", CLIP)}, data=fields)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "invalid")
    assert says in answer.json()["error"]["text"]
    assert list(answer.json()["error"]["fields"]) == [says]
    assert list(app.state.services.files.folder.iterdir()) == []


@pytest.mark.parametrize(
    ("model", "fields", "status", "code"),
    [
        (False, {}, 409, "no_model"),
        (True, {"sex": "F"}, 422, "invalid"),
        (True, {"model": "another"}, 409, "no_model"),
    ],
)
def test_what_is_known_beforehand_is_refused_before_the_clip_has_arrived(
    app: FastAPI, model: bool, fields: dict[str, str], status: int, code: str
) -> None:
    services = app.state.services
    if not model:
        app.state.services = services = replace(services, models=LoadedModels({}))
    before = b"".join(part(name, value.encode()) for name, value in fields.items())

    async def body() -> AsyncIterator[bytes]:
        yield before + part("file", CLIP, "a.mp4")[:-2]
        for _ in range(1000):
            yield bytes(1024)

    made: list[object] = []
    services.files.create = lambda: made.append(0)
    headers = {"Content-Type": "multipart/form-data; boundary=edge"}
    answer = ask(app, "POST", "/v1/estimates", content=body(), headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert made == []
    refused = services.metrics.refused_uploads.labels(code)
    assert refused._value.get() == 1


def test_each_wrong_parameter_is_named(app: FastAPI) -> None:
    address = "/v1/estimates/" + "a" * 32
    answer = ask(app, "GET", address, params={"format": "xml"})
    assert answer.status_code == 422
    assert answer.json()["error"]["fields"]["format"]["code"] == "unknown_choice"
    wrong = {"limit": "0", "offset": "x", "missing": "shoes", "search": "a" * 201}
    answer = ask(app, "GET", "/v1/participants", params=wrong)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (422, "invalid")
    assert {name: field["code"] for name, field in error["fields"].items()} == {
        "limit": "range",
        "offset": "not_a_number",
        "missing": "unknown_choice",
        "search": "too_long",
    }
    assert all(field["text"] in error["text"] for field in error["fields"].values())
    assert "shoes" not in answer.text


def test_files_and_folders_are_their_owners_alone(app: FastAPI) -> None:
    services = app.state.services
    token, path, file = services.files.create()
    file.close()
    assert path.stat().st_mode & 0o077 == 0
    assert services.files.folder.stat().st_mode & 0o077 == 0
    assert services.settings.data.stat().st_mode & 0o077 == 0
    services.files.delete(token)


def test_no_key_takes_all_the_places_of_uploads(app: FastAPI) -> None:
    keys = app.state.services.keys
    greedy, other = ({"Authorization": f"Bearer {keys.add(n, 'measure')}"} for n in "ab")
    begun = form(part("file", CLIP))[:500]

    async def go() -> None:
        stop = asyncio.Event()

        async def slow() -> AsyncIterator[bytes]:
            yield begun
            await stop.wait()

        kind = {"Content-Type": "multipart/form-data; boundary=edge"}
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:

            async def send(key: dict[str, str]) -> httpx.Response:
                return await client.post("/v1/estimates", content=slow(), headers={**kind, **key})

            held = [asyncio.create_task(send(greedy)) for _ in range(MAX_UPLOADS_OF_KEY)]
            while app.state.uploads.total() < MAX_UPLOADS_OF_KEY:
                await asyncio.sleep(0.01)
            refused = await client.post(
                "/v1/estimates", files={"file": ("a.mp4", CLIP)}, headers=greedy
            )
            taken = await client.post(
                "/v1/estimates", files={"file": ("a.mp4", b"MZ")}, headers=other
            )
            stop.set()
            await asyncio.gather(*held)
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "busy")
        assert "this key" in refused.json()["error"]["text"]
        # Looked at, not refused for want of room.
        assert taken.status_code == 415

    asyncio.run(go())
    assert app.state.uploads == {}
    assert list(app.state.services.files.folder.iterdir()) == []


def test_no_owner_takes_the_whole_queue(app: FastAPI) -> None:
    services = app.state.services
    secret = services.keys.add("a", "measure")
    (key,) = services.keys.list()
    for _ in range(MAX_WAITING_OF_OWNER):
        services.jobs.create("estimate", None, {}, key.id)
    request = {"files": {"file": ("a.mp4", CLIP)}}
    mine = {"Authorization": f"Bearer {secret}"}
    answer = ask(app, "POST", "/v1/estimates", headers=mine, **request)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "busy")
    assert int(answer.headers["retry-after"]) >= 1
    other = {"Authorization": f"Bearer {services.keys.add('b', 'measure')}"}
    answer = ask(app, "POST", "/v1/estimates", headers=other, **request)
    assert (answer.status_code, answer.json()["state"]) == (202, "queued")


def test_no_key_takes_all_streams(app: FastAPI) -> None:
    services = app.state.services
    secret = services.keys.add("a", "measure")
    (key,) = services.keys.list()
    job = services.jobs.create("estimate", None, {}, key.id)
    streams = app.state.streams
    streams |= {("another", n) for n in range(MAX_STREAMS_OF_KEY)}
    refuse_too_many(streams, key.id)
    streams |= {(key.id, n) for n in range(MAX_STREAMS_OF_KEY)}
    address = f"/v1/estimates/{job.id}/events"
    answer = ask(app, "GET", address, headers={"Authorization": f"Bearer {secret}"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "busy")
    # Who sits at a machine without keys has what all have together.
    refuse_too_many({(None, n) for n in range(MAX_STREAMS - 1)}, None)
    with pytest.raises(BusyError):
        refuse_too_many({(None, n) for n in range(MAX_STREAMS)}, None)


def test_streams_of_events_end_and_are_counted(app: FastAPI) -> None:
    services = app.state.services
    job = services.jobs.create("estimate", None, {}, None)

    async def stream() -> list[bytes]:
        heard: list[bytes] = []
        source: AsyncIterator[bytes] = events.events_of(services, job.id, app.state.streams)
        async for event in source:
            heard.append(event)
            assert len(app.state.streams) == 1
            services.jobs.delete(job.id)
        return heard

    heard = asyncio.run(stream())
    assert b'"queued"' in heard[0]
    assert b'"deleted"' in heard[-1]
    assert all(b'"position": ' in event for event in heard)
    assert app.state.streams == set()


def test_a_stream_ends_with_its_key(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    services = app.state.services
    monkeypatch.setattr(events, "KEY_S", 0.2)
    key = services.keys.check(services.keys.add("phone", "measure"))
    job = services.jobs.create("estimate", None, {}, key.id)

    async def stream() -> list[bytes]:
        heard: list[bytes] = []
        async with asyncio.timeout(20):
            async for event in events.events_of(services, job.id, app.state.streams, key.id):
                heard.append(event)
                services.keys.revoke("phone")
        return heard

    assert [b'"queued"' in event for event in asyncio.run(stream())] == [True]
    assert app.state.streams == set()


@pytest.mark.parametrize(("path", "status"), [("/healthz", 200), ("/readyz", 503)])
def test_monitors_may_ask_with_head(app: FastAPI, path: str, status: int) -> None:
    # No worker is started here, so it is not ready.
    assert ask(app, "GET", path).status_code == status
    assert ask(app, "HEAD", path).status_code == status


def test_an_observation_is_there_later_or_never(app: FastAPI) -> None:
    services = app.state.services
    job = services.jobs.create("estimate", None, {}, None)
    address = f"/v1/estimates/{job.id}"
    waiting = ask(app, "GET", address, params={"format": "fhir"})
    assert (waiting.status_code, waiting.json()["error"]["code"]) == (409, "not_ready")
    assert waiting.headers["retry-after"] == "1"
    assert ask(app, "GET", address).json()["expires_s"] is None
    services.jobs.claim("worker")
    services.jobs.fail(job.id, "too_long", "the clip lasts 300 s, more than 120 s")
    failed = ask(app, "GET", address, params={"format": "fhir"})
    assert failed.status_code == 409
    assert failed.json()["error"] == {
        "code": "failed",
        "text": "the clip lasts 300 s, more than 120 s",
    }
    assert "retry-after" not in failed.headers
    state = ask(app, "GET", address).json()
    assert state["expires_s"] == state["finished_s"] + 24 * 3600


@pytest.mark.parametrize("path", ["/sign-in", "/v1/session"])
def test_the_rate_of_an_address_is_asked_before_a_key_is_read(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never() -> AsyncIterator[bytes]:
        yield b"k"
        await asyncio.sleep(60)

    monkeypatch.setattr(answers, "DRAIN_S", 0.1)
    monkeypatch.setattr(uploads, "SMALL_BODY_S", 0.1)
    app = create_app(ServiceSettings(data=tmp_path / "data"), Rates(general=Rate(0.001, 2)))
    statuses = [ask(app, "POST", path, content=never()).status_code for _ in range(3)]
    assert statuses == [408, 408, 429]


def test_a_key_begins_sessions_at_a_human_rate(tmp_path: Path) -> None:
    app = create_app(ServiceSettings(data=tmp_path / "data"), Rates(sign_ins=Rate(0.001, 2)))
    keys = app.state.guard.keys
    busy, other = keys.add("busy", Role.MEASURE), keys.add("other", Role.MEASURE)

    def sign_in(key: str) -> int:
        return ask(app, "POST", "/v1/session", json={"key": key}).status_code

    assert [sign_in(busy) for _ in range(3)] == [200, 200, 429]
    page = ask(app, "POST", "/sign-in", data={"key": busy})
    assert page.status_code == 429
    assert 'name="key"' in page.text
    assert int(page.headers["retry-after"]) > 1
    assert sign_in(other) == 200
    lines = [line for line in app.state.services.audit.entries() if line.action == "session.open"]
    assert len(lines) == 3
