"""A source of advisories on loopback, for the tests of the audit: OSV, and the registry of npm."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Vulnerable = Mapping[tuple[str, str], str]
"""Id of a vulnerability by package and version."""


@contextmanager
def advisory_source(
    vulnerable: Vulnerable, *, breaks_after: int | None = None
) -> Iterator[tuple[str, list[str]]]:
    """Give the source's address, and what it was asked about as it goes: ``name version``.

    After so many questions it answers none any more.
    """
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            if breaks_after is not None and len(asked) >= breaks_after:
                self.send_error(500)
                return
            question = json.loads(body)
            npm = self.path.endswith("/advisories/bulk")
            self._answer(self._npm(question) if npm else self._osv(question))

        def do_GET(self) -> None:
            name = self.path.strip("/")
            versions = {v: {"name": name, "version": v} for n, v in vulnerable if n == name}
            latest = {"latest": next(iter(versions), "1.0.0")}
            self._answer({"name": name, "versions": versions, "dist-tags": latest})

        def log_message(self, *_: object) -> None:
            pass

        def _osv(self, question: Any) -> dict[str, Any]:
            name, version = question["package"]["name"], question["version"]
            asked.append(f"{name} {version}")
            found = vulnerable.get((name, version))
            if found is None:
                return {}
            where = {"package": {"name": name, "ecosystem": "PyPI"}, "ranges": []}
            advisory = {"id": found, "aliases": [f"ALIAS-{found}"], "affected": [where]}
            return {"vulns": [{**advisory, "summary": "made up for a test"}]}

        def _npm(self, question: Mapping[str, list[str]]) -> dict[str, Any]:
            asked.extend(f"{name} {version}" for name, all_ in question.items() for version in all_)
            return {
                name: [
                    {"id": 1, "url": f"https://advisories.example/{found}", "title": "made up",
                     "severity": "high", "vulnerable_versions": version, "cwe": [],
                     "cvss": {"score": 7, "vectorString": None}}
                ]
                for (name, version), found in vulnerable.items()
                if version in question.get(name, ())
            }  # fmt: skip

        def _answer(self, said: Any) -> None:
            body = json.dumps(said).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/", asked
    finally:
        server.shutdown()
        server.server_close()
