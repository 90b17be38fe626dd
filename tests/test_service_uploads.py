"""The form that streams, against every way of cutting it up, and answers to what nobody foresaw."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Coroutine
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.requests import Request

from pallor.service import uploads
from pallor.service.api.arrivals import MAX_UPLOADS_OF_KEY, MAX_WAITING_OF_OWNER
from pallor.service.api.events import MAX_STREAMS, MAX_STREAMS_OF_KEY, refuse_too_many
from pallor.service.app import create_app
from pallor.service.errors import StoreError
from pallor.service.refusals import (
    BusyError,
    ClientGoneError,
    MalformedUploadError,
    RefusalError,
    TooLargeError,
    TooSlowError,
    WrongTypeError,
)
from pallor.service.settings import ServiceSettings
from pallor.service.uploads import Upload, receive_upload

HEAD = b"\0\0\0\x18ftypisom\0\0\0\0"
CLIP = HEAD + bytes(range(256)) * 40


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
    upload = asyncio.run(receive_upload(request, target, limit))
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


@pytest.fixture
def app(tmp_path: Path) -> FastAPI:
    return create_app(ServiceSettings(data=tmp_path / "data"))


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
        ({"coverage": "1"}, "coverage"),
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
    assert list(app.state.services.files.folder.iterdir()) == []


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
    # There is no model; but for that it would be taken.
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "no_model")


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
        from pallor.service.api.events import events_of

        heard: list[bytes] = []
        source: AsyncIterator[bytes] = events_of(services, job.id, app.state.streams)
        async for event in source:
            heard.append(event)
            assert len(app.state.streams) == 1
            services.jobs.delete(job.id)
        return heard

    heard = asyncio.run(stream())
    assert b'"queued"' in heard[0]
    assert b'"deleted"' in heard[-1]
    assert app.state.streams == set()
