"""A study through the service as a process: entered, recorded, exported, extracted, withdrawn."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
import signal
import socket
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pandas as pd
import pytest
from sqlalchemy import select

import hostile_uploads
from long_tests import rounds
from pallor.service.settings import ServiceSettings
from pallor.service.store.audit import AuditEntry, AuditLog
from pallor.service.store.engine import connect
from pallor.service.store.tables import ClipRow
from postgres_server import postgres_database
from served import Served, no_inner_details, pallor, serve, succeed
from service_databases import postgres
from study_client import checked, consent_of, enter, send

__all__ = ["postgres"]

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("service")]


@dataclass(frozen=True)
class Site:
    """A service with a study.

    options: of a command that opens the same study.
    """

    server: Served
    url: str
    keys: dict[str, str]
    options: tuple[object, ...]

    def client(self, role: str = "study") -> httpx.Client:
        return self.server.client(self.keys[role])

    def clips(self) -> list[Path]:
        return sorted((self.server.data / "clips").iterdir())

    def audit(self) -> list[AuditEntry]:
        store = connect(self.url)
        try:
            return list(reversed(AuditLog(store).entries()))
        finally:
            store.close()


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("study-clips")
    small = ("--preset", "easy", "--participants", 4, "--duration", 8, "--seed", 3)
    succeed("simulate", folder, *small)
    return sorted((folder / "clips").glob("*.mp4"))


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    data = tmp_path_factory.mktemp("study") / "data"
    options: tuple[object, ...] = ("--data", data)
    url = ServiceSettings(data).url
    if request.param == "postgresql":
        url = postgres_database(request.getfixturevalue("postgres"), f"study{int(time.time())}")
        options = (*options, "--database-url", url)
    keys = {
        role: succeed("keys", "add", role, "--role", role, *options).strip()
        for role in ("measure", "study", "admin")
    }
    with serve(
        data, "--max-mb", 8, "--workers", 2, "--estimates-per-minute", 100_000, *options[2:]
    ) as server:
        yield Site(server, url, keys, options)
    _, _, trace = server.log.read_text().partition("Traceback")
    assert not trace, trace[:3000]


def test_the_whole_story(site: Site, clips: list[Path], tmp_path: Path) -> None:
    with site.client() as client:
        begun = len(site.audit())
        person = enter(
            client, "P-001", "first", sex="female", age_years=31.5, altitude_m=850, note="brave"
        )
        assert person["consent"]["keeps_video"] is True
        base = "/v1/participants/P-001/sessions/first"
        changed = client.patch(base, json={"date": "2025-03-02", "site": "clinic"})
        assert changed.json()["sessions"][0]["site"] == "clinic"
        sent = send(client, "P-001", "first", clips[0], camera="phone A")
        assert sent.status_code == 202, sent.text
        address = sent.headers["location"]
        assert sent.json()["state"] == "queued" and sent.json()["usable"] is None
        clip = checked(client, address)
        assert clip["state"] == "done" and clip["usable"] is True, clip
        assert clip["simulated"] is True and clip["check"]["simulated"] is True
        assert clip["camera"] == "phone A" and clip["bytes"] == clips[0].stat().st_size
        again = client.post(f"{address}/check")
        assert again.status_code == 202 and again.json()["usable"] is None, again.text
        assert again.json()["simulated"] is True
        assert checked(client, address)["check"] == clip["check"]
        # The laboratory answers days later.
        line = client.get("/v1/participants", params={"missing": "hemoglobin"}).json()
        assert [found["code"] for found in line["participants"]] == ["P-001"]
        value = {"value": 128, "unit": "g/L", "method": "venous_cbc", "measured_on": "2025-03-04"}
        entered = client.post(f"{base}/hemoglobin", json=value)
        assert entered.status_code == 201, entered.text
        (stored,) = entered.json()["sessions"][0]["hemoglobin"]
        assert stored["hemoglobin_g_dl"] == pytest.approx(12.8)
        fixed = client.patch(f"{base}/hemoglobin/{stored['id']}", json={"value": 129})
        assert fixed.json()["sessions"][0]["hemoglobin"][0]["hemoglobin_g_dl"] == pytest.approx(
            12.9
        )
        enter(client, "P-002", "a", sex="male", age_years=60)
        checked(client, send(client, "P-002", "a", clips[1]).headers["location"])
        enter(client, "P-003")
        enter(client, "P-004", consent=consent_of(client, keeps_video=False))
        summary = client.get("/v1/study").json()
        assert summary["participants"] == 4 and summary["clips"] == 2
        assert (summary["participants_without_clip"], summary["simulated_clips"]) == (2, 2)
        table = client.get("/v1/study/cohort.csv")
        assert table.headers["content-type"].startswith("text/csv")

        answer = client.get("/v1/study/export.zip")
        assert answer.headers["content-type"] == "application/zip"
        out = tmp_path / "out"
        with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
            assert archive.testzip() is None
            archive.extractall(out)
        assert (out / "clips/P-001/first/001.mp4").read_bytes() == clips[0].read_bytes()
        assert (out / "cohort.csv").read_text() == table.text
        (first, second) = csv.DictReader(io.StringIO(table.text))
        assert first == {
            "participant_id": "P-001", "clip": "clips/P-001/first/001.mp4", "session": "first",
            "camera": "phone A", "site": "clinic", "hemoglobin_g_dl": "12.9",
            "reference_method": "venous_cbc", "hemoglobin_days_apart": "2", "sex": "female",
            "age_years": "31.5", "pregnancy": "", "altitude_m": "850", "smoking": "",
            "simulated": "true", "usable": "true",
        }  # fmt: skip
        assert second["hemoglobin_g_dl"] == ""
        readme = (out / "README.txt").read_text()
        assert "SIMULATED" in readme
        for line in (
            r"Participants of the study +4", "in this export +2", "without a clip yet +1",
            "not agreed that videos are kept +1", "Clips in this export +2",
            "Without a clip yet: P-003\n", "Not agreed that videos are kept: P-004\n",
        ):  # fmt: skip
            assert re.search(line, readme), line
        everything = b"".join(p.read_bytes() for p in out.glob("*") if p.is_file())
        assert b"2025" not in everything, "a calendar date in the export"

        succeed("extract", out / "cohort.csv", "-o", tmp_path / "f", "--modalities", "color")
        (stored_table,) = (tmp_path / "f").glob("*.parquet")
        features = pd.read_parquet(stored_table).set_index("participant_id")
        assert set(features.index) == {"P-001", "P-002"}
        assert features.loc["P-001", "hemoglobin_g_dl"] == pytest.approx(12.9)
        assert bool(features.loc["P-001", "simulated"]) is True
        assert features.filter(like="color.").loc["P-001"].notna().sum() > 50

        # The command line writes the same.
        told = json.loads(succeed("study", "export", tmp_path / "cli", "--json", *site.options))
        assert told == {
            "folder": str(tmp_path / "cli"), "simulated": True, "participants": 4, "exported": 2,
            "without_clip": 1, "without_consent": 1, "gone": 0, "clips": 2, "clips_gone": 0,
            "simulated_clips": 2,
        }  # fmt: skip
        for path in out.rglob("*.*"):
            if path.is_file():
                same = tmp_path / "cli" / path.relative_to(out)
                assert same.read_bytes() == path.read_bytes(), path
        again = pallor("study", "export", tmp_path / "cli", *site.options)
        assert again.returncode == 2 and "not empty" in again.stderr

        # Withdrawn: nothing of the person is left.
        before = site.clips()
        assert len(before) == 2
        gone = client.delete("/v1/participants/P-001")
        assert gone.json() == {"sessions": 1, "hemoglobin_values": 1, "clips": 1, "files": 1}
        assert len(site.clips()) == 1
        for path in ("/v1/participants/P-001", base, address):
            assert client.get(path).status_code in {404, 405}
        assert client.get(address).status_code == 404
        assert "P-001" not in client.get("/v1/participants").text
        assert "P-001" not in client.get("/v1/study/cohort.csv").text
        with zipfile.ZipFile(io.BytesIO(client.get("/v1/study/export.zip").content)) as archive:
            assert not [name for name in archive.namelist() if "P-001" in name]
            assert b"P-001" not in archive.read("README.txt")
            assert b"P-001" not in archive.read("hemoglobin_values.csv")
        listed = [
            json.loads(x)
            for x in succeed("study", "list", "--json", *site.options).split("\n")
            if x
        ]
        assert [line["code"] for line in listed] == ["P-002", "P-003", "P-004"]
        asked = pallor("study", "withdraw", "P-002", *site.options)
        assert asked.returncode == 1 and len(site.clips()) == 1
        succeed("study", "withdraw", "P-002", "--yes", *site.options)
        assert site.clips() == []
        for code in ("P-003", "P-004"):
            assert client.delete(f"/v1/participants/{code}").status_code == 200

    entries = site.audit()[begun:]
    actions = [entry.action for entry in entries]
    for action in (
        "participant.create", "session.create", "session.change", "clip.add", "clip.check",
        "hemoglobin.add",
        "hemoglobin.change", "participant.list", "study.export", "participant.withdraw",
    ):  # fmt: skip
        assert action in actions, action
    assert actions.count("study.export") == 5 and actions.count("participant.withdraw") == 4
    assert {entry.who for entry in entries} > {"command line"}
    # Waiting for a check is not seeing a clip: what each check found was seen once.
    assert (
        sum(entry.action == "participant.read" and " clip " in entry.what for entry in entries) == 3
    )
    for entry in entries:
        for word in ("P-00", "brave", "clinic", "12.", "female"):
            assert word not in entry.what, entry


def test_consent_decides(site: Site, clips: list[Path]) -> None:
    with site.client() as client:
        no = consent_of(client, takes_part=False)
        refused = client.post("/v1/participants", json={"code": "C1", "consent": no})
        assert refused.status_code == 422
        assert refused.json()["error"]["fields"]["takes_part"]["code"] == "agree"
        without = client.post("/v1/participants", json={"code": "C1"})
        assert without.json()["error"]["fields"]["consent"]["code"] == "required"
        assert client.get("/v1/participants/C1").status_code == 404

        enter(client, "C1", "s", consent=consent_of(client, keeps_video=False))
        answer = send(client, "C1", "s", clips[0])
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "no_consent")
        assert site.clips() == [] and site.server.uploads() == []
        agreed = client.post("/v1/participants/C1/consents", json=consent_of(client))
        assert agreed.status_code == 201 and agreed.json()["consent"]["keeps_video"] is True
        kept = send(client, "C1", "s", clips[0])
        assert kept.status_code == 202
        # The same file is nobody else's.
        enter(client, "C2", "s")
        twice = send(client, "C2", "s", clips[0])
        assert (twice.status_code, twice.json()["error"]["code"]) == (409, "conflict")
        assert "C1" in twice.json()["error"]["text"] and len(site.clips()) == 1
        less = consent_of(client, keeps_video=False)
        refused = client.post("/v1/participants/C1/consents", json=less)
        assert (refused.status_code, refused.json()["error"]["code"]) == (409, "conflict")
        assert client.delete(kept.headers["location"]).status_code == 204
        assert client.delete(kept.headers["location"]).status_code == 404
        assert client.post("/v1/participants/C1/consents", json=less).status_code == 201
        assert site.clips() == []
        for code in ("C1", "C2"):
            client.delete(f"/v1/participants/{code}")


def test_nobody_agrees_to_a_text_that_does_not_exist(site: Site) -> None:
    # Each key has a rate limit of its own: that of the other tests is spared.
    with site.client("admin") as client:
        known = consent_of(client)
        person = {"code": "C3", "consent": {**known, "language": None}}
        entered = client.post("/v1/participants", json=person)
        assert entered.json()["consent"]["language"] == "en"
        for wrong, field, code in (
            ({"version": "VERSION"}, "version", "unknown_version"),
            ({"version": "x", "language": None}, "version", "unknown_version"),
            ({"language": "tr"}, "language", "unknown_choice"),
        ):
            made_up = {**known, **wrong}
            for path, body in (
                ("", {"code": "C4", "consent": made_up}),
                ("/C3/consents", made_up),
            ):
                refused = client.post(f"/v1/participants{path}", json=body)
                assert refused.status_code == 422, refused.text
                ((name, problem),) = refused.json()["error"]["fields"].items()
                assert (name, problem["code"]) == (field, code)
                assert name != "version" or "GET /v1/study/consent" in problem["text"]
        client.delete("/v1/participants/C3")


def test_a_value_of_another_type_is_none(site: Site) -> None:
    with site.client("admin") as client:
        known = consent_of(client)
        person = "/v1/participants/T1"
        assert enter(client, "T1", "s", consent=known, age_years=31)["age_years"] == 31.0
        value = {"unit": "g/dL", "method": "venous_cbc"}
        another = {"code": "T2", "consent": {**known, "takes_part": 1}}
        number, truth = "not_a_number", "unknown_choice"
        for method, path, body, field, code in (
            ("PATCH", person, {"age_years": True}, "age_years", number),
            ("PATCH", person, {"altitude_m": "5"}, "altitude_m", number),
            ("POST", f"{person}/consents", {**known, "takes_part": "yes"}, "takes_part", truth),
            ("POST", f"{person}/consents", {**known, "keeps_video": 1}, "keeps_video", truth),
            ("POST", f"{person}/sessions/s/hemoglobin", {**value, "value": "12"}, "value", number),
            ("POST", "/v1/participants", another, "consent.takes_part", truth),
        ):
            refused = client.request(method, path, json=body)
            assert refused.status_code == 422, refused.text
            ((name, problem),) = refused.json()["error"]["fields"].items()
            assert (name, problem["code"]) == (field, code)
            assert problem["text"].startswith(f"{field}: ")
        client.delete(person)


@pytest.mark.parametrize(
    ("body", "field", "code"),
    [
        ({"age_years": 300}, "age_years", "range"),
        ({"age_years": "old"}, "age_years", "not_a_number"),
        ({"sex": "x"}, "sex", "unknown_choice"),
        ({"smoking": "blue"}, "smoking", "not_understood"),
        ({"code": "../x"}, "code", "characters"),
        ({"code": 7}, "code", "characters"),
        ({"code": "F1"}, "code", "taken"),
        ({"hair": "red"}, "hair", "unknown_field"),
        ({"pregnancy": "yes", "sex": "male"}, "pregnancy", "contradiction"),
        ({"note": "n" * 5000}, "note", "too_long"),
    ],
)
def test_every_wrong_field_is_named(
    site: Site, body: dict[str, object], field: str, code: str
) -> None:
    with site.client() as client:
        client.post("/v1/participants", json={"code": "F1", "consent": consent_of(client)})
        whole = {"code": "F2", "consent": consent_of(client), **body}
        answer = client.post("/v1/participants", json=whole)
        assert answer.status_code == 422, answer.text
        error = answer.json()["error"]
        assert error["fields"][field]["code"] == code and error["fields"][field]["text"]
        assert error["text"] and "red" not in answer.text
        assert client.get("/v1/participants/F2").status_code == 404


def test_bodies_that_are_none(site: Site) -> None:
    with site.client() as client:
        for content in (b"", b"{", b"[]", b"null", b'"x"', b"\xff\xfe", b"[" * 50_000, b"{}{}"):
            answer = client.post("/v1/participants", content=content)
            assert answer.status_code == 422, content[:10]
            assert answer.json()["error"]["code"] == "invalid"
        for number in ("NaN", "1e999", "1" * 400):
            content = f'{{"code": "N1", "age_years": {number}, "consent": {{}}}}'.encode()
            assert client.post("/v1/participants", content=content).status_code == 422
        assert client.post("/v1/participants", content=b" " * 100_000).status_code == 413


def test_strangers_are_refused_before_their_body_is_read(site: Site) -> None:
    host, port = site.server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(
            f"POST /v1/participants HTTP/1.1\r\nHost: {host}:{port}\r\n"
            "Content-Type: application/json\r\nContent-Length: 99999999\r\n\r\n".encode()
        )
        assert connection.recv(4096).startswith(b"HTTP/1.1 401 ")


def test_what_is_not_there_is_not_there(site: Site, clips: list[Path]) -> None:
    with site.client() as client:
        person = enter(client, "U1", "s")
        enter(client, "U2", "t")
        value = {"value": 12, "unit": "g/dL", "method": "venous_cbc"}
        client.post("/v1/participants/U1/sessions/s/hemoglobin", json=value)
        found = client.get("/v1/participants/U1").json()
        value_id = found["sessions"][0]["hemoglobin"][0]["id"]
        assert person["id"] == found["id"]
        answers = [
            client.get("/v1/participants/nobody"),
            client.get("/v1/participants/%00"),
            client.get("/v1/participants/..%2f..%2fetc"),
            client.get("/v1/participants/" + "x" * 3000),
            client.patch("/v1/participants/nobody", json={}),
            client.delete("/v1/participants/nobody"),
            client.post("/v1/participants/nobody/consents", json=consent_of(client)),
            client.post("/v1/participants/nobody/sessions", json={"name": "s"}),
            client.patch("/v1/participants/U1/sessions/t", json={}),
            client.delete("/v1/participants/U1/sessions/t"),
            # Of another person's visit.
            client.patch(f"/v1/participants/U2/sessions/t/hemoglobin/{value_id}", json={}),
            client.delete(f"/v1/participants/U2/sessions/t/hemoglobin/{value_id}"),
            client.get("/v1/participants/U1/sessions/s/clips/1000"),
            client.delete("/v1/participants/U1/sessions/s/clips/1000"),
            client.post("/v1/participants/U1/sessions/s/clips/1000/check"),
            send(client, "U1", "t", clips[0]),
            client.get("/v1/estimates/" + "A" * 32),
        ]
        for answer in answers:
            assert answer.status_code == 404, answer.request.url
        texts = {
            answer.text for answer in answers[:-1] if answer.json()["error"]["code"] == "unknown"
        }
        assert len(texts) == 1
        for wrong in ("0", "-1", "2147483648", "x", "9" * 40):
            found = client.get(f"/v1/participants/U1/sessions/s/clips/{wrong}")
            assert found.status_code == 422
        for query in ({"limit": 0}, {"offset": -1}, {"offset": 2**40}, {"missing": "x"}):
            assert client.get("/v1/participants", params=query).status_code == 422
        for search in ("\0", "%", "_", "é", "u1' OR 1=1"):
            answer = client.get("/v1/participants", params={"search": search})
            assert answer.json() == {"participants": [], "total": 0}
        assert client.get("/v1/participants", params={"search": "u"}).json()["total"] == 2
        page = client.get("/v1/participants", params={"search": "u", "limit": 1, "offset": 1})
        assert [line["code"] for line in page.json()["participants"]] == ["U2"]
        for code in ("U1", "U2"):
            client.delete(f"/v1/participants/{code}")


def test_what_was_entered_tells_its_address(site: Site) -> None:
    with site.client("admin") as client:
        person = client.post(
            "/v1/participants", json={"code": "L.1", "consent": consent_of(client)}
        ).headers["location"]
        assert person == "/v1/participants/L.1" and client.get(person).status_code == 200
        addresses = []
        # Visits stand in the order of their dates, so the new one is not always the last.
        for name, day in ((" b-2 ", "2025-03-02"), ("a", "2025-03-01")):
            made = client.post(f"{person}/sessions", json={"name": name, "date": day})
            assert made.status_code == 201 and "sessions" in made.json()
            addresses.append(made.headers["location"])
        assert addresses == [f"{person}/sessions/b-2", f"{person}/sessions/a"]
        values = []
        for number in (12.1, 12.2):
            value = {"value": number, "unit": "g/dL", "method": "venous_cbc"}
            made = client.post(f"{addresses[0]}/hemoglobin", json=value)
            assert made.status_code == 201
            values.append(made.headers["location"])
        known = made.json()["sessions"][1]["hemoglobin"]
        assert [found["value"] for found in known] == [12.1, 12.2]
        assert values == [f"{addresses[0]}/hemoglobin/{found['id']}" for found in known]
        assert client.patch(values[1], json={"value": 12.3}).status_code == 200
        assert client.delete(values[0]).status_code == 204
        assert client.patch(addresses[1], json={"site": "clinic"}).status_code == 200
        assert client.delete(addresses[1]).status_code == 204
        (visit,) = client.get(person).json()["sessions"]
        assert visit["name"] == "b-2"
        assert [found["value"] for found in visit["hemoglobin"]] == [12.3]
        client.delete(person)


METHODS = ("get", "post", "patch", "delete")


def study_routes(client: httpx.Client) -> list[tuple[str, str]]:
    paths = client.get("/openapi.json").json()["paths"]
    return [
        (method, path)
        for path, found in paths.items()
        for method in METHODS
        if method in found and "study" in found[method]["tags"]
    ]


def test_every_route_is_for_the_role_study(site: Site) -> None:
    with site.client("measure") as measure, site.server.client() as nobody:
        routes = study_routes(nobody)
        assert len(routes) == 20
        for method, path in routes:
            address = re.sub(r"{\w*id}", "1", path)
            address = re.sub(r"{\w+}", "x", address)
            for client, status, code in ((measure, 403, "role"), (nobody, 401, "no_key")):
                answer = client.request(method, address, content=b"not looked at")
                assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), path
    with site.client("admin") as admin:
        assert admin.get("/v1/study").status_code == 200


def test_a_cookie_alone_changes_nothing(site: Site) -> None:
    with site.server.client() as browser:
        signed = browser.post("/v1/session", json={"key": site.keys["study"]}).json()
        body = {"code": "B1", "consent": consent_of(browser)}
        refused = browser.post("/v1/participants", json=body)
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "cross_site")
        headers = {"X-CSRF-Token": signed["csrf_token"]}
        assert browser.post("/v1/participants", json=body, headers=headers).status_code == 201
        assert browser.delete("/v1/participants/B1").status_code == 403
        assert browser.delete("/v1/participants/B1", headers=headers).status_code == 200


@pytest.mark.long
def test_hostile_uploads_leave_nothing(site: Site) -> None:
    step = rounds(11, 2)
    corpus = [case for i, case in enumerate(hostile_uploads.generate(0)) if i % step == 0]
    kept: dict[str, str] = {}
    with site.server.client(site.keys["admin"]) as client:
        enter(client, "H1", "s")
        for case in corpus:
            answer = send(client, "H1", "s", case.content)
            while answer.status_code == 429:
                time.sleep(float(answer.headers["retry-after"]))
                answer = send(client, "H1", "s", case.content)
            no_inner_details(answer.text, site.server.data)
            if answer.status_code == 202:
                kept[case.name] = answer.headers["location"]
            else:
                assert answer.status_code in {400, 409, 415}, (case.name, answer.text)
            assert site.server.uploads() == []
            assert len(site.clips()) == len(kept), case.name
        hopeless = {case.name for case in corpus if case.hopeless}
        for name, address in kept.items():
            clip = checked(client, address)
            assert clip["state"] == "done" or (clip["code"] and clip["text"]), clip
            assert clip["usable"] is False or name not in hopeless
            no_inner_details(json.dumps(clip), site.server.data)
        assert len(kept) > 5
        assert client.delete("/v1/participants/H1").json()["files"] == len(kept)
        assert site.clips() == []


def test_uploads_that_are_refused_leave_nothing(site: Site, clips: list[Path]) -> None:
    with site.client() as client:
        enter(client, "R1", "s")
        for content, fields, status in (
            (b"MZ" + b"\0" * 100, {}, 415),
            (b"", {}, 400),
            (clips[2].read_bytes()[:3000] + b"\0" * (9 * 2**20), {}, 413),
            (clips[2].read_bytes(), {"camera": "=1+1"}, 422),
            (clips[2].read_bytes(), {"simulated": "perhaps"}, 422),
            (clips[2].read_bytes(), {"sex": "female"}, 422),
        ):
            answer = send(client, "R1", "s", content, **fields)
            assert answer.status_code == status, answer.text
            assert site.server.uploads() == [] and site.clips() == []
        client.delete("/v1/participants/R1")


def test_a_client_that_leaves_the_export_leaves_nothing_open(site: Site, clips: list[Path]) -> None:
    descriptors = Path(f"/proc/{site.server.pid}/fd")
    if not descriptors.is_dir():
        pytest.skip("looks into /proc")

    def held() -> list[str]:
        found = []
        for link in descriptors.iterdir():
            try:
                target = str(link.readlink())
            except OSError:
                continue
            if "/clips/" in target:
                found.append(target)
        return found

    with site.client() as client:
        enter(client, "L1", "s")
        for number in range(4):
            # Six megabytes, more than sockets buffer; and each is another file.
            content = clips[3].read_bytes() + bytes([number])
            assert send(client, "L1", "s", content).status_code == 202
        for _ in range(6):
            # Tests before this one may have used up what the rate limit allows at once.
            time.sleep(0.2)
            until = time.monotonic() + 60
            with client.stream("GET", "/v1/study/export.zip") as stream:
                assert stream.status_code == 200, stream.read()
                next(stream.iter_raw(1000))
                while not held() and time.monotonic() < until:
                    time.sleep(0.02)
            while held() and time.monotonic() < until:
                time.sleep(0.05)
            assert held() == []
        # None of those that were left counts among those that are being sent.
        assert client.get("/v1/study/export.zip").status_code == 200
        client.delete("/v1/participants/L1")


def test_a_revoked_key_ends_its_export(site: Site, clips: list[Path]) -> None:
    secret = succeed("keys", "add", "leaver", "--role", "study", *site.options).strip()
    with site.client() as client, site.server.client(secret) as leaver:
        enter(client, "K1", "s")
        assert send(client, "K1", "s", clips[0].read_bytes() + b"key").status_code == 202
        # Without filling the disk.
        os.truncate(site.clips()[0], 500 * 2**20)
        with leaver.stream("GET", "/v1/study/export.zip") as stream:
            assert stream.status_code == 200
            pieces = stream.iter_raw(2**20)
            next(pieces)
            succeed("keys", "revoke", "leaver", *site.options)
            # The client sees that it is not whole.
            with pytest.raises(httpx.RemoteProtocolError):
                for _ in pieces:
                    pass
        assert "its key was revoked" in site.server.log.read_text()
        client.delete("/v1/participants/K1")


def test_a_large_export_does_not_grow_the_server(site: Site, clips: list[Path]) -> None:
    process = Path(f"/proc/{site.server.pid}")
    if not process.is_dir():
        pytest.skip("reads the peak memory from /proc")

    def peak() -> int:
        return int((process / "status").read_text().split("VmHWM:")[1].split()[0]) * 1024

    with site.client() as client:
        enter(client, "G1", "s")
        for number in range(3):
            content = clips[number].read_bytes() + b"large"
            checked(client, send(client, "G1", "s", content).headers["location"])
        for path in site.clips():
            # As large as a clip may be by default, without filling the disk.
            os.truncate(path, 500 * 2**20)
        client.get("/v1/study/cohort.csv")
        # The peak starts anew from what the process holds now.
        (process / "clear_refs").write_text("5")
        before, began, size = peak(), time.monotonic(), 0
        with client.stream("GET", "/v1/study/export.zip") as stream:
            for piece in stream.iter_raw():
                size += len(piece)
        spent_s, grown = time.monotonic() - began, peak() - before
        print(f"{size / 2**20:.0f} MB in {spent_s:.1f} s, {grown / 2**20:.1f} MB of memory")  # noqa: T201
        assert size > 1500 * 2**20
        assert grown < 32 * 2**20
        assert client.delete("/v1/participants/G1").json()["files"] == 3


def test_no_study_is_made_by_looking_for_one(tmp_path: Path) -> None:
    for command in (("list",), ("export", tmp_path / "out"), ("withdraw", "P1", "--yes")):
        run = pallor("study", *command, "--data", tmp_path / "absent")
        assert run.returncode == 2 and "no study is here" in run.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_command_line_names_who_is_not_there(site: Site) -> None:
    run = pallor("study", "withdraw", "nobody", "--yes", *site.options)
    assert run.returncode == 1 and "nobody: the study has no such participant" in run.stderr
    run = pallor("study", "list", "--missing", "x", *site.options)
    assert run.returncode == 2


def test_a_study_has_its_own_consent_texts(tmp_path: Path) -> None:
    texts = tmp_path / "texts"
    texts.mkdir()
    (texts / "de.txt").write_text("Ich nehme teil.", encoding="utf-8")
    with serve(tmp_path / "data", "--consent", texts) as server, server.client() as client:
        found = client.get("/v1/study/consent").json()["texts"]
        assert {language: text["text"] for language, text in found.items()} == {
            "de": "Ich nehme teil."
        }
    shutil.rmtree(texts)
    run = pallor("serve", "--data", tmp_path / "data", "--port", 0, "--consent", texts)
    assert run.returncode == 2 and "consent" in run.stderr


def workers_of(server: Served) -> list[int]:
    found = []
    for task in Path(f"/proc/{server.pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            command = Path(f"/proc/{child}/cmdline").read_bytes()
            if b"pallor.service.jobs.worker" in command:
                found.append(int(child))
    return found


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="finds workers in /proc")
def test_kill_9_during_a_check_costs_no_clip(clips: list[Path], tmp_path: Path) -> None:
    data = tmp_path / "data"

    def at_work(client: httpx.Client, address: str) -> None:
        until = time.monotonic() + 60
        while client.get(address).json()["state"] == "queued" and time.monotonic() < until:
            time.sleep(0.01)

    def kept() -> list[bytes]:
        return sorted(path.read_bytes() for path in (data / "clips").iterdir())

    with serve(data) as server, server.client() as client:
        enter(client, "K1", "s")
        first = send(client, "K1", "s", clips[0]).headers["location"]
        at_work(client, first)
        (worker,) = workers_of(server)
        os.kill(worker, signal.SIGKILL)
        done = checked(client, first)
        assert (done["state"], done["usable"]) == ("done", True)
        # A check is no estimate, not even for who may see everything.
        (job,) = (row.job_id for row in clip_rows(data))
        assert client.get(f"/v1/estimates/{job}").status_code == 404
        assert client.delete(f"/v1/estimates/{job}").status_code == 404
        assert client.get(f"/estimates/{job}").status_code == 404

        second = send(client, "K1", "s", clips[1]).headers["location"]
        waits = send(client, "K1", "s", clips[2]).headers["location"]
        at_work(client, second)
        os.kill(server.pid, signal.SIGKILL)
    sent = sorted(clip.read_bytes() for clip in clips[:3])
    assert kept() == sent
    with serve(data) as server, server.client() as client:
        for address in (first, second, waits):
            assert checked(client, address)["state"] == "done", address
        assert kept() == sent
        assert server.uploads() == []
        told = client.delete("/v1/participants/K1").json()
        assert told["files"] == 3 and kept() == []


def clip_rows(data: Path) -> list[ClipRow]:
    store = connect(ServiceSettings(data).url)
    try:
        with store.reading() as session:
            return list(session.scalars(select(ClipRow)))
    finally:
        store.close()


def test_a_clip_that_is_no_clip_fails_and_stays_until_it_is_deleted(tmp_path: Path) -> None:
    with serve(tmp_path / "data") as server, server.client() as client:
        enter(client, "J1", "s")
        junk = b"\0\0\0\x18ftypisom" + bytes(range(256)) * 10
        address = send(client, "J1", "s", junk).headers["location"]
        clip = checked(client, address)
        assert (clip["state"], clip["usable"]) == ("failed", False) and clip["text"]
        no_inner_details(json.dumps(clip), server.data)
        assert len(list((server.data / "clips").iterdir())) == 1
        assert client.get("/v1/study").json()["usable_clips"] == 0
        assert client.delete(address).status_code == 204
        assert list((server.data / "clips").iterdir()) == []


def test_clips_are_limited_as_estimates_are(tmp_path: Path) -> None:
    with (
        serve(tmp_path / "data", "--estimates-per-minute", "0.1") as server,
        server.client() as client,
    ):
        statuses = [send(client, "nobody", "s", b"x").status_code for _ in range(31)]
        assert statuses == [404] * 30 + [429]
        assert client.get("/v1/study").status_code == 200
