"""A study over REST, as a program uses it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import httpx

AGREED = {"language": "en", "takes_part": True, "keeps_video": True}


def consent_of(client: httpx.Client, **changes: Any) -> dict[str, Any]:
    texts = client.get("/v1/study/consent").json()["texts"]
    return {"version": texts["en"]["version"], **AGREED, **changes}


def enter(client: httpx.Client, code: str, *sessions: str, **fields: Any) -> dict[str, Any]:
    consent = fields.pop("consent", None) or consent_of(client)
    answer = client.post("/v1/participants", json={"code": code, "consent": consent, **fields})
    assert answer.status_code == 201, answer.text
    for name in sessions:
        answer = client.post(f"/v1/participants/{code}/sessions", json={"name": name})
        assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def send(
    client: httpx.Client, code: str, session: str, clip: Path | bytes, **fields: Any
) -> httpx.Response:
    content = clip if isinstance(clip, bytes) else clip.read_bytes()
    return client.post(
        f"/v1/participants/{code}/sessions/{session}/clips",
        files={"file": ("clip.mp4", content, "video/mp4")},
        data=fields,
    )


def checked(client: httpx.Client, address: str, within_s: float = 90) -> dict[str, Any]:
    """Wait for the check of a clip."""
    until = time.monotonic() + within_s
    while True:
        answer = client.get(address)
        while answer.status_code == 429:
            time.sleep(float(answer.headers["retry-after"]))
            answer = client.get(address)
        assert answer.status_code == 200, answer.text
        clip: dict[str, Any] = answer.json()
        if clip["state"] in {"done", "failed"}:
            return clip
        assert time.monotonic() < until, clip
        time.sleep(0.1)
