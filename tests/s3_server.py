"""A stand-in for an object store: moto's server speaks S3's protocol on the loopback interface.

It runs in a process of its own, as a store does, and is reached over HTTP by s3fs. It is no
S3: how a real one limits, delays and fails is not tested with it.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

BUCKET = "clips-of-a-study"
SECRET = "correct-horse-battery-staple"  # noqa: S105


class Store:
    """The server and a view of its bucket from outside."""

    def __init__(self, port: int) -> None:
        import boto3

        self.url = f"http://127.0.0.1:{port}"
        self._bucket = boto3.resource("s3", region_name="us-east-1").Bucket(BUCKET)

    def create(self) -> None:
        self._bucket.create()

    def put(self, key: str, data: bytes) -> None:
        self._bucket.put_object(Key=key, Body=data)

    def get(self, key: str) -> bytes:
        return self._bucket.Object(key).get()["Body"].read()

    def names(self) -> list[str]:
        return sorted(item.key for item in self._bucket.objects.all())

    def empty(self) -> None:
        self._bucket.objects.all().delete()

    def ask_for_credentials(self, *, on: bool) -> None:
        """From now on refuse keys that nobody made, which is every key."""
        body = b"0" if on else b"inf"
        ask = urllib.request.Request(  # noqa: S310
            f"{self.url}/moto-api/reset-auth", body, {"Content-Type": "application/octet-stream"}
        )
        urllib.request.urlopen(ask, timeout=10).close()  # noqa: S310


@contextmanager
def s3_server(patch: pytest.MonkeyPatch, folder: Path) -> Iterator[Store]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    patch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    patch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    patch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with (folder / "moto.log").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
            stdout=log, stderr=log, env=dict(os.environ),
        )  # fmt: skip
    try:
        until = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                assert server.poll() is None, (folder / "moto.log").read_text()
                assert time.monotonic() < until
                time.sleep(0.1)
        store = Store(port)
        store.create()
        yield store
    finally:
        server.kill()
        server.wait()
