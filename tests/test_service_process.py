"""The service as a process on loopback: clip in, events, result, FHIR, deleted."""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

import hostile_uploads
from certificate import make_certificate
from long_tests import rounds
from served import Served, finished, no_inner_details, pallor, serve, succeed
from service_jobs import is_alive

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("service")]


@dataclass(frozen=True)
class Made:
    model: Path
    clips: list[Path]
    model_id: str


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("model")
    small = ("--preset", "easy", "--participants", 10, "--duration", 5, "--size", 160)
    succeed("simulate", folder / "train", *small)
    succeed("extract", folder / "train" / "cohort.csv", "-o", folder / "features")
    succeed("train", folder / "features", "-o", folder / "model.pallor", "--quick")
    clips = ("--preset", "easy", "--participants", 3, "--duration", 6, "--seed", 5)
    succeed("simulate", folder / "clips", *clips)
    from pallor.models.bundle import read_metadata

    model_id = read_metadata(folder / "model.pallor")["id"]
    return Made(
        folder / "model.pallor", sorted((folder / "clips" / "clips").glob("*.mp4")), model_id
    )


@dataclass(frozen=True)
class Keys:
    measure: str
    other: str
    admin: str


@pytest.fixture(scope="module")
def served(made: Made, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, Keys]]:
    data = tmp_path_factory.mktemp("served") / "data"
    keys = Keys(
        *(
            succeed("keys", "add", name, "--role", role, "--data", data).strip()
            for name, role in (("phone", "measure"), ("other", "measure"), ("boss", "admin"))
        )
    )
    with serve(data, "--model", made.model, "--max-mb", 8, "--workers", 2) as server:
        yield server, keys
    _, _, trace = server.log.read_text().partition("Traceback")
    assert not trace, trace[:3000]


def upload(client: httpx.Client, clip: Path, **fields: object) -> dict:
    with clip.open("rb") as file:
        answer = client.post(
            "/v1/estimates", files={"file": ("me.mp4", file, "video/mp4")}, data=fields
        )
    assert answer.status_code == 202, answer.text
    return answer.json()


def events(client: httpx.Client, estimate_id: str) -> list[dict]:
    with client.stream("GET", f"/v1/estimates/{estimate_id}/events") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        return [json.loads(line[6:]) for line in stream.iter_lines() if line.startswith("data: ")]


def test_a_clip_becomes_an_estimate_and_is_deleted(made: Made, served: tuple[Served, Keys]) -> None:
    from fhir.resources.R4B.observation import Observation

    server, keys = served
    with server.client(keys.measure) as client:
        created = upload(client, made.clips[0], sex="female", age_years=30, smoking="")
        assert created["state"] == "queued"
        assert created["simulated"] is True
        heard = events(client, created["id"])
        assert heard[-1]["state"] == "done"
        assert [event["share"] for event in heard] == sorted(event["share"] for event in heard)
        address = f"/v1/estimates/{created['id']}"
        answer = client.get(address)
        result = answer.json()["result"]
        assert result["usable"] is True
        low, high = result["interval_low_g_dl"], result["interval_high_g_dl"]
        assert 3 < low < result["hemoglobin_g_dl"] < high < 25
        assert result["model_card"]["id"] == made.model_id
        assert len(result["pulse_wave"]["time_s"]) == len(result["pulse_wave"]["pulse"]) > 100
        assert "clip" not in result
        no_inner_details(answer.text, server.data)
        for fhir in (
            client.get(address, params={"format": "fhir"}),
            client.get(address, headers={"Accept": "application/fhir+json"}),
        ):
            assert fhir.headers["content-type"] == "application/fhir+json"
            observation = Observation.model_validate(fhir.json())
            assert observation.status == "preliminary"
            assert float(observation.valueQuantity.value) == pytest.approx(
                result["hemoglobin_g_dl"], abs=0.051
            )
            assert "SIMULATED" in fhir.text
            no_inner_details(fhir.text, server.data)
        assert server.uploads() == []
        assert client.delete(address).status_code == 204
        assert client.get(address).status_code == 404
        assert client.delete(address).status_code == 404


def test_everything_that_touches_a_simulated_model_says_so(
    made: Made, served: tuple[Served, Keys]
) -> None:
    server, keys = served
    with server.client(keys.measure) as client:
        models = client.get("/v1/models").json()
        assert [card["simulated"] for card in models["models"]] == [True]
        assert [card["coverage"] for card in models["models"]] == [0.9]
        assert "SIMULATED" in models["notice"][0]
        created = upload(client, made.clips[1])
        state = finished(client, created["id"])
        for answer in (created, state):
            assert answer["simulated"] is True
            assert "SIMULATED" in answer["notice"][0]
            assert "Research use only" in answer["notice"][1]
        assert state["result"]["simulated"] is True
        assert "SIMULATED" in state["result"]["model_card"]["summary"]


def test_an_unusable_clip_is_done_without_a_number_but_with_reasons(
    served: tuple[Served, Keys], tmp_path: Path
) -> None:
    from PIL import Image

    server, keys = served
    still = tmp_path / "gray.png"
    Image.new("RGB", (320, 240), (120, 120, 120)).save(still)
    with server.client(keys.measure) as client:
        created = upload(client, still)
        answer = client.get(f"/v1/estimates/{created['id']}")
        state = finished(client, created["id"])
        result = state["result"]
        assert state["state"] == "done"
        assert result["usable"] is False
        assert result["hemoglobin_g_dl"] is None
        assert result["interval_low_g_dl"] is None
        assert result["reasons"][0]["code"]
        answer = client.get(f"/v1/estimates/{created['id']}", params={"format": "fhir"})
        assert "valueQuantity" not in answer.json()
        assert answer.json()["dataAbsentReason"]
        for text in (json.dumps(state), answer.text):
            no_inner_details(text, server.data)
    assert server.uploads() == []


def test_a_clip_that_is_deleted_while_it_is_read_is_no_fault(
    made: Made, served: tuple[Served, Keys]
) -> None:
    server, keys = served
    with server.client(keys.admin) as client:
        for _ in range(5):
            address = f"/v1/estimates/{upload(client, made.clips[0])['id']}"
            until = time.monotonic() + 60
            while client.get(address).json()["state"] == "queued" and time.monotonic() < until:
                time.sleep(0.02)
            assert client.delete(address).status_code == 204
            assert client.get(address).status_code == 404
    # That no trace is in the log is looked at when the server has ended.
    assert server.uploads() == []


def test_a_result_is_for_the_key_that_made_it(made: Made, served: tuple[Served, Keys]) -> None:
    server, keys = served
    with server.client(keys.measure) as mine, server.client(keys.other) as other:
        address = f"/v1/estimates/{upload(mine, made.clips[0])['id']}"
        for answer in (
            other.get(address),
            other.get(f"{address}/events"),
            other.delete(address),
            other.get("/v1/estimates/" + "A" * 32),
        ):
            assert answer.status_code == 404
            assert answer.json() == {
                "error": {"code": "unknown", "text": "there is no such estimate"}
            }
        with server.client(keys.admin) as admin:
            assert admin.get(address).status_code == 200
        assert mine.delete(address).status_code == 204


@pytest.mark.parametrize("sent", ["", "Bearer wrong", "Bearer", "Basic YTpi", "Bearer ååå"])
def test_without_a_valid_key_nothing_is_answered(served: tuple[Served, Keys], sent: str) -> None:
    server, _keys = served
    headers = {"Authorization": sent.encode()} if sent else {}
    with server.client() as client:
        answer = client.get("/v1/models", headers=headers)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.json()["error"]["code"] == "no_key"
        assert client.get("/healthz").json()["status"] == "ok"
        assert client.get("/readyz").json()["ready"] is True


def test_roles_and_metrics(served: tuple[Served, Keys]) -> None:
    server, keys = served
    with server.client(keys.measure) as client:
        answer = client.get("/metrics")
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "role")
        assert answer.json()["error"]["text"] == "this needs a key with the role admin"
    with server.client(keys.admin) as client:
        text = client.get("/metrics").text
        assert 'pallor_jobs{state="queued"}' in text
        assert 'route="/v1/models"' in text
        assert "pallor_workers 2.0" in text
        assert "# TYPE pallor_worker_restarts_total counter" in text
        assert "pallor_worker_restarts_total 0.0" in text


def test_a_revoked_key_ends_at_once_also_in_open_sessions(served: tuple[Served, Keys]) -> None:
    server, _keys = served
    key = succeed("keys", "add", "gone", "--role", "study", "--data", server.data).strip()
    with server.client() as browser, server.client(key) as program:
        signed = browser.post("/v1/session", json={"key": key})
        assert signed.status_code == 200
        cookie = signed.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        assert browser.get("/v1/session").json()["role"] == "study"
        assert program.get("/v1/models").status_code == 200
        succeed("keys", "revoke", "gone", "--data", server.data)
        assert program.get("/v1/models").status_code == 401
        assert browser.get("/v1/session").status_code == 401


def test_a_cookie_alone_changes_nothing(made: Made, served: tuple[Served, Keys]) -> None:
    server, keys = served
    with server.client() as browser, made.clips[0].open("rb") as clip:
        token = browser.post("/v1/session", json={"key": keys.measure}).json()["csrf_token"]
        without = browser.post("/v1/estimates", files={"file": clip})
        assert (without.status_code, without.json()["error"]["code"]) == (403, "cross_site")
        headers = {"X-CSRF-Token": token}
        clip.seek(0)
        foreign = {**headers, "Origin": "https://elsewhere.example"}
        answer = browser.post("/v1/estimates", files={"file": clip}, headers=foreign)
        assert answer.status_code == 403
        clip.seek(0)
        answer = browser.post("/v1/estimates", files={"file": clip}, headers=headers)
        assert answer.status_code == 202
        address = f"/v1/estimates/{answer.json()['id']}"
        assert browser.delete(address).status_code == 403
        assert browser.delete(address, headers=headers).status_code == 204
        assert browser.delete("/v1/session", headers=headers).status_code == 204
        assert browser.get("/v1/session").status_code == 401


def test_what_is_too_large_is_refused_while_it_streams(served: tuple[Served, Keys]) -> None:
    server, keys = served
    piece = b"\0" * 65536
    sent = 0

    def body() -> Iterator[bytes]:
        nonlocal sent
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
        yield b"\0\0\0\x18ftypisom" + piece
        # Without a stated length, and without an end: 10 times the limit.
        for _ in range(1280):
            sent += len(piece)
            yield piece

    with server.client(keys.measure) as client:
        answer = client.post(
            "/v1/estimates",
            content=body(),
            headers={"Content-Type": "multipart/form-data; boundary=x"},
        )
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")
    assert answer.headers["connection"] == "close"
    assert server.uploads() == []


def test_a_stated_length_beyond_the_limit_is_answered_before_the_body(
    served: tuple[Served, Keys],
) -> None:
    server, keys = served
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(
            f"POST /v1/estimates HTTP/1.1\r\nHost: {host}:{port}\r\nAuthorization: Bearer "
            f"{keys.measure}\r\nContent-Type: multipart/form-data; boundary=x\r\n"
            "Content-Length: 99999999999\r\nExpect: 100-continue\r\n\r\n".encode()
        )
        answer = connection.recv(4096)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert server.uploads() == []


def test_a_wrong_field_before_the_clip_is_answered_while_that_is_sent(
    served: tuple[Served, Keys],
) -> None:
    server, keys = served
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(
            f"POST /v1/estimates HTTP/1.1\r\nHost: {host}:{port}\r\nAuthorization: Bearer "
            f"{keys.measure}\r\nContent-Type: multipart/form-data; boundary=x\r\n"
            "Content-Length: 4000000\r\n\r\n--x\r\nContent-Disposition: form-data; "
            'name="sex"\r\n\r\nF\r\n--x\r\nContent-Disposition: form-data; name="file"'
            "\r\n\r\n".encode()
            + b"\0\0\0\x18ftypisom"
        )
        answer = connection.recv(4096)
        # Who sends on meanwhile is not cut off before the answer is read.
        connection.sendall(b"\0" * 1_000_000)
        while b"sex is" not in answer:
            answer += connection.recv(4096)
    assert answer.startswith(b"HTTP/1.1 422 ")
    assert server.uploads() == []


def test_an_upload_that_breaks_off_leaves_nothing(served: tuple[Served, Keys]) -> None:
    server, keys = served
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(
            f"POST /v1/estimates HTTP/1.1\r\nHost: {host}:{port}\r\nAuthorization: Bearer "
            f"{keys.measure}\r\nContent-Type: multipart/form-data; boundary=x\r\n"
            "Content-Length: 4000000\r\n\r\n--x\r\nContent-Disposition: form-data; "
            'name="file"\r\n\r\n'.encode()
            + b"\0\0\0\x18ftypisom"
            + b"\0" * 2_000_000
        )
        until = time.monotonic() + 10
        while not server.uploads() and time.monotonic() < until:
            time.sleep(0.02)
        assert len(server.uploads()) == 1
    while server.uploads() and time.monotonic() < until:
        time.sleep(0.02)
    assert server.uploads() == []


@pytest.mark.parametrize(
    "content", [b"MZ" + b"\0" * 100, b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"PK\3\4" * 50]
)
def test_the_type_is_that_of_the_content(served: tuple[Served, Keys], content: bytes) -> None:
    server, keys = served
    with server.client(keys.measure) as client:
        answer = client.post(
            "/v1/estimates", files={"file": ("../../etc/x.mp4", content, "video/mp4")}
        )
        assert (answer.status_code, answer.json()["error"]["code"]) == (415, "wrong_type")
        no_inner_details(answer.text, server.data)
    assert server.uploads() == []


JPEG = {"Content-Type": "image/jpeg"}


def a_face() -> bytes:
    import io

    from PIL import Image

    from portrait import portrait

    buffer = io.BytesIO()
    Image.fromarray(portrait(320)).save(buffer, "JPEG")
    return buffer.getvalue()


def test_hints_come_from_the_detector_of_the_server(served: tuple[Served, Keys]) -> None:
    server, keys = served
    face = a_face()
    with server.client(keys.measure) as client:
        seen = client.post("/v1/hints", content=face, headers=JPEG)
        assert seen.status_code == 200, seen.text
        assert seen.json()["face"] is True
        damaged = client.post("/v1/hints", content=face[:2000], headers=JPEG)
        assert damaged.status_code in {200, 422}
        junk = client.post("/v1/hints", content=b"\xff\xd8\xff" + b"\0" * 99, headers=JPEG)
        assert junk.status_code == 422
        huge = client.post("/v1/hints", content=b"\0" * 300_000, headers=JPEG)
        assert huge.status_code == 413
        again = client.post("/v1/hints", content=face, headers=JPEG)
        assert again.json()["face"] is True
        no_inner_details(junk.text + damaged.text, server.data)


def children(pid: int) -> list[int]:
    found = []
    for folder in Path(f"/proc/{pid}/task").iterdir():
        found += [int(word) for word in (folder / "children").read_text().split()]
    return found


def command_of(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()


def fingerprint(state: dict) -> tuple[object, ...]:
    result = state["result"]
    return tuple(
        result[name] for name in ("hemoglobin_g_dl", "heart_rate_bpm", "snr_db", "duration_s")
    )


def add_keys(data: Path, count: int, name: str = "client") -> list[str]:
    from pallor.service.settings import ServiceSettings
    from pallor.service.store.engine import open_store
    from pallor.service.store.keys import KeyStore

    store = open_store(ServiceSettings(data=data))
    try:
        return [KeyStore(store).add(f"{name} {n}", "measure") for n in range(count)]
    finally:
        store.close()


@pytest.mark.long
def test_twenty_clients_at_once_lose_and_mix_up_nothing(
    made: Made, served: tuple[Served, Keys]
) -> None:
    server, keys = served
    until = time.monotonic() + rounds(8, 60)
    with server.client(keys.admin) as client:
        expected = {
            clip: fingerprint(finished(client, upload(client, clip)["id"])) for clip in made.clips
        }
    assert len(set(expected.values())) == len(made.clips)
    # A key for each: the rate limit is that of a client.
    secrets = add_keys(server.data, 20)
    done: list[str] = []
    lock = threading.Lock()

    def one(number: int) -> None:
        with server.client(secrets[number]) as client:
            for turn in range(1000):
                clip = made.clips[(number + turn) % len(made.clips)]
                age = 20 + number + turn / 100
                state = finished(client, upload(client, clip, age_years=age)["id"], 300)
                assert state["state"] == "done", state
                assert state["options"]["age_years"] == age
                assert fingerprint(state) == expected[clip]
                with lock:
                    assert state["id"] not in done
                    done.append(state["id"])
                if time.monotonic() > until:
                    return

    with ThreadPoolExecutor(20) as pool:
        for outcome in [pool.submit(one, number) for number in range(20)]:
            outcome.result()
    assert len(done) >= 20
    print(f"{len(done)} clips of 20 clients")  # noqa: T201
    assert server.uploads() == []


def test_rate_limits_answer_429_with_a_time_to_wait(made: Made, tmp_path: Path) -> None:
    with (
        serve(tmp_path / "data", "--estimates-per-minute", "0.1") as server,
        server.client() as client,
    ):
        statuses = [client.post("/v1/estimates").status_code for _ in range(31)]
        # Without a model each is refused, and counted all the same.
        assert statuses == [409] * 30 + [429]
        answer = client.post("/v1/estimates")
        assert answer.json()["error"]["code"] == "too_many_requests"
        assert int(answer.headers["retry-after"]) > 60
        # Other kinds of requests have buckets of their own.
        assert client.get("/v1/models").status_code == 200


def test_without_a_model_estimates_are_refused(made: Made, tmp_path: Path) -> None:
    with serve(tmp_path / "data") as server, server.client() as client:
        with made.clips[0].open("rb") as clip:
            answer = client.post("/v1/estimates", files={"file": clip})
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "no_model")
        assert client.get("/v1/models").json()["models"] == []
        assert server.uploads() == []


def test_without_the_landmark_model_it_does_not_start(tmp_path: Path) -> None:
    absent = {"PALLOR_FACE_MODEL": str(tmp_path / "absent.task")}
    run = pallor("serve", "--data", tmp_path / "data", "--port", 0, **absent)
    assert run.returncode == 1
    assert run.stderr.startswith("pallor: ") and "absent.task" in run.stderr
    assert len(run.stderr.splitlines()) == 1
    assert not (tmp_path / "data").exists()


def test_without_keys_only_this_machine_is_answered(tmp_path: Path) -> None:
    with serve(tmp_path / "data") as server, server.client() as client:
        assert client.get("/v1/models").status_code == 200
        for headers in (
            {"Host": "pallor.example"},
            {"X-Forwarded-For": "192.0.2.1"},
            {"Via": "1.1 proxy"},
        ):
            answer = client.get("/v1/models", headers=headers)
            assert (answer.status_code, answer.json()["error"]["code"]) == (403, "cross_site")
        with socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2]))) as proxy:
            proxy.sendall(b"GET /v1/models HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")
            assert b" 403 " in proxy.makefile("rb").readline()
        # A page elsewhere that posts to this machine.
        answer = client.post("/v1/estimates", headers={"Origin": "https://elsewhere.example"})
        assert answer.status_code == 403


def test_without_keys_a_page_of_another_site_has_nothing_done(tmp_path: Path) -> None:
    from pallor.service.settings import ServiceSettings
    from pallor.service.store.audit import AuditLog
    from pallor.service.store.engine import open_store

    elsewhere = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}
    visit = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    with serve(tmp_path / "data") as server, server.client() as client:
        # More than the rate limit allows at once.
        for path in ("/v1/study/cohort.csv", "/study/export") * 80:
            assert client.get(path, headers=elsewhere).status_code == 403
        assert client.get("/v1/models").status_code == 200
        store = open_store(ServiceSettings(data=server.data))
        assert AuditLog(store).entries() == ()
        store.close()
        # A link is followed, in a window of its own.
        for kind, status in (("document", 200), ("iframe", 403)):
            headers = {**visit, "Sec-Fetch-Dest": kind}
            assert client.get("/", headers=headers).status_code == status


@pytest.mark.parametrize("options", [("--host", "0.0.0.0"), ("--host", "::")])  # noqa: S104
def test_beyond_loopback_it_wants_tls_and_a_key(tmp_path: Path, options: tuple[str, ...]) -> None:
    data = ("--data", tmp_path / "data", "--port", 0)
    run = pallor("serve", *data, *options)
    assert run.returncode == 2
    assert "--tls-cert" in run.stderr.splitlines()[-1]
    run = pallor("serve", *data, *options, "--behind-proxy")
    assert run.returncode == 2
    assert "pallor keys add" in run.stderr.splitlines()[-1]
    assert "Traceback" not in run.stderr
    run = pallor("serve", *data, "--behind-proxy")
    assert run.returncode == 2, "a proxy brings others to loopback"


def test_tls_beyond_loopback(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    secret = succeed("keys", "add", "me", "--data", tmp_path / "data").strip()
    tls = ("--tls-cert", certificate, "--tls-key", key, "--host", "0.0.0.0")  # noqa: S104
    with serve(tmp_path / "data", *tls) as server:
        url = server.url.replace("0.0.0.0", "localhost")  # noqa: S104
        context = ssl.create_default_context(cafile=str(certificate))
        with httpx.Client(base_url=url, verify=context) as client:
            assert client.get("/v1/models").status_code == 401
            signed = client.post("/v1/session", json={"key": secret})
            assert signed.status_code == 200
            assert signed.headers["set-cookie"].startswith("__Host-pallor=")
            assert "Secure" in signed.headers["set-cookie"]
            assert signed.headers["strict-transport-security"].startswith("max-age=")
            assert client.get("/v1/models").status_code == 200


def test_pages_ask_strangers_for_a_key(made: Made, served: tuple[Served, Keys]) -> None:
    server, keys = served
    with server.client() as browser:
        for path in ("/", "/models", "/result/" + "a" * 32):
            answer = browser.get(path)
            assert answer.status_code == 303
            assert answer.headers["location"].partition("?")[0] == "/sign-in"
        assert 'name="key"' in browser.get("/sign-in").text
        wrong = browser.post("/sign-in?lang=tr", data={"key": "wrong"})
        assert wrong.status_code == 401
        assert 'role="alert"' in wrong.text
        right = browser.post("/sign-in?lang=tr", data={"key": keys.measure})
        assert (right.status_code, right.headers["location"]) == (303, "/?lang=tr")
        token = browser.get("/v1/session").json()["csrf_token"]
        for path in ("/", "/models"):
            page = browser.get(path)
            assert page.status_code == 200
            assert "SIMULATED" in page.text
            assert token in page.text
            assert "<script>" not in page.text
            assert "style=" not in page.text
            assert page.headers["cache-control"] == "no-store"
        browser.headers["X-CSRF-Token"] = token
        created = upload(browser, made.clips[0], sex="male", age_years=40)
        finished(browser, created["id"])
        page = browser.get(f"/result/{created['id']}")
        assert page.status_code == 200
        assert "<svg" in page.text
        no_inner_details(page.text, server.data)
        with server.client() as stranger:
            stranger.post("/sign-in", data={"key": keys.other})
            assert stranger.get(f"/result/{created['id']}").status_code == 404


def test_after_kill_9_of_the_server_every_clip_is_finished(made: Made, tmp_path: Path) -> None:
    data = tmp_path / "data"
    with serve(data, "--model", made.model) as server, server.client() as client:
        ids = [upload(client, clip)["id"] for clip in made.clips]
        os.kill(server.pid, signal.SIGKILL)
    assert len(server.uploads()) >= 1, "killed too late to tell anything"
    with serve(data, "--model", made.model) as server, server.client() as client:
        for estimate_id in ids:
            state = finished(client, estimate_id)
            assert state["state"] == "done", state
        assert server.uploads() == []


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_the_process_of_hints_ends_with_a_killed_server_and_steps_back(tmp_path: Path) -> None:
    with serve(tmp_path / "data") as server, server.client() as client:
        assert client.post("/v1/hints", content=a_face(), headers=JPEG).status_code == 200
        hints = [pid for pid in children(server.pid) if "spawn_main" in command_of(pid)]
        assert len(hints) == 1
        assert os.getpriority(os.PRIO_PROCESS, hints[0]) > os.getpriority(os.PRIO_PROCESS, 0)
        os.kill(server.pid, signal.SIGKILL)
        until = time.monotonic() + 5
        while is_alive(hints[0]) and time.monotonic() < until:
            time.sleep(0.02)
        assert not is_alive(hints[0])


@pytest.mark.skipif(sys.platform != "linux", reason="process groups")
def test_ctrl_c_ends_all_processes_without_a_trace(made: Made, tmp_path: Path) -> None:
    data = tmp_path / "data"
    with serve(data, "--model", made.model, own_group=True) as server, server.client() as client:
        assert client.post("/v1/hints", content=a_face(), headers=JPEG).status_code == 200
        pids = children(server.pid)
        created = upload(client, made.clips[0])
        until = time.monotonic() + 60
        while client.get(f"/v1/estimates/{created['id']}").json()["state"] == "queued":
            assert time.monotonic() < until
            time.sleep(0.02)
        os.killpg(server.pid, signal.SIGINT)
        time.sleep(0.1)
        os.killpg(server.pid, signal.SIGINT)
        while any(map(is_alive, [server.pid, *pids])) and time.monotonic() < until:
            time.sleep(0.05)
        assert not any(map(is_alive, [server.pid, *pids]))
    text = server.log.read_text()
    assert "Traceback" not in text and len(text.splitlines()) < 30, text
    with serve(data, "--model", made.model) as server, server.client() as client:
        assert finished(client, created["id"])["state"] == "done"


@pytest.mark.long
def test_no_broken_upload_brings_the_service_down_or_stays(served: tuple[Served, Keys]) -> None:
    server, keys = served
    corpus = hostile_uploads.generate()
    chosen = corpus[:: rounds(8, 1)]
    secrets = add_keys(server.data, 20, "hostile")
    clients = [server.client(secret) for secret in secrets]
    waiting: dict[str, tuple[httpx.Client, hostile_uploads.Upload]] = {}
    refused = 0
    for number, case in enumerate(chosen):
        client = clients[number % len(clients)]
        file = (case.filename, case.content, "video/mp4")
        answer = client.post("/v1/estimates", files={"file": file})
        while answer.status_code == 503:
            # The queue is full, as it may be.
            assert answer.json()["error"]["code"] == "busy"
            time.sleep(0.5)
            answer = client.post("/v1/estimates", files={"file": file})
        no_inner_details(answer.text, server.data)
        if answer.status_code == 202:
            waiting[answer.json()["id"]] = (client, case)
            continue
        refused += 1
        assert answer.status_code in {400, 413, 415, 422}, (case.name, answer.text)
        assert answer.json()["error"]["text"], case.name
    outcomes = dict.fromkeys(("failed", "unusable", "usable"), 0)
    for estimate_id, (client, case) in waiting.items():
        state = finished(client, estimate_id, 600)
        no_inner_details(json.dumps(state), server.data)
        usable = state["state"] == "done" and state["result"]["usable"]
        assert not (usable and case.hopeless), case.name
        if state["state"] == "failed":
            # A fault of ours would say internal, or crashed: a broken clip must not get so far.
            assert state["code"] not in {"internal", "crashed"}, (case.name, state)
            assert state["text"], case.name
        elif not usable:
            assert state["result"]["hemoglobin_g_dl"] is None, case.name
            assert state["result"]["reasons"], case.name
        outcomes[state["state"] if state["state"] == "failed" else _usable(usable)] += 1
    for client in clients:
        client.close()
    print(f"{len(chosen)} broken uploads: {refused} refused, {outcomes}")  # noqa: T201
    assert refused > 0
    assert outcomes["unusable"] > 0
    assert server.uploads() == []
    with server.client(keys.admin) as client:
        assert client.get("/readyz").json()["ready"] is True


def _usable(usable: bool) -> str:
    return "usable" if usable else "unusable"


def test_the_address_is_the_proxys_word_only_behind_a_proxy(tmp_path: Path) -> None:
    data = tmp_path / "data"
    key = succeed("keys", "add", "me", "--data", data).strip()

    def statuses(server: Served, *addresses: str) -> list[int]:
        with server.client("wrong") as client:
            return [
                client.get("/v1/models", headers={"X-Forwarded-For": address}).status_code
                for address in addresses
            ]

    with serve(data, "--behind-proxy") as server:
        assert statuses(server, *["192.0.2.1"] * 11) == [401] * 10 + [429]
        assert statuses(server, "192.0.2.2") == [401]
    with serve(data) as server:
        assert statuses(server, *(f"192.0.2.{n}" for n in range(11))) == [401] * 10 + [429]
        with server.client(key) as client:
            assert client.get("/v1/models").status_code == 200
