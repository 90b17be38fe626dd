"""A server over TLS on the loopback interface, for tests of downloads."""

from __future__ import annotations

import http.server
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from certificate import make_certificate

Start = Callable[..., list[str]]


def loopback_is_up() -> bool:
    with socket.create_server(("127.0.0.1", 0)) as server:
        try:
            socket.create_connection(server.getsockname(), timeout=5).close()
        except OSError:
            return False
    return True


@contextmanager
def tls_servers(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Iterator[Start]:
    """Yield ``start(status, body, **headers)``: the mirror answers so from then on.

    It returns the list of paths that are asked for, which grows.
    """
    if not loopback_is_up():
        pytest.skip("the loopback interface is down: no test server can be reached")
    certificate, key = make_certificate(folder)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    servers = []

    def start(status: int, body: bytes, **headers: str) -> list[str]:
        asked: list[str] = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                asked.append(self.path)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name.replace("_", "-"), value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(
            target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        ).start()
        servers.append(server)
        monkeypatch.setenv("PALLOR_MIRROR", f"https://localhost:{server.server_port}/")
        return asked

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()
