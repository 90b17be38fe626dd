"""Clients that only hold a connection, against real servers on loopback."""

from __future__ import annotations

import asyncio
import selectors
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import uvicorn

from certificate import make_certificate
from pallor.service.security.slow_clients import PatientProtocol
from served import Served, serve, succeed

pytestmark = pytest.mark.xdist_group("service")

GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Hasty(PatientProtocol):
    headers_s = 1.0
    stalled_s = 2.0


@dataclass(frozen=True)
class Open:
    port: int
    server: uvicorn.Server

    @property
    def connections(self) -> int:
        return len(self.server.server_state.connections)


async def small_app(scope, receive, send) -> None:
    """``/``: a word; ``/stream``: a line every 0.4 s; ``/much``: far more than sockets hold."""
    if scope["type"] != "http":
        return
    more = True
    while more:
        more = (await receive()).get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    if scope["path"] == "/stream":
        for _ in range(8):
            await send({"type": "http.response.body", "body": b"data: x\n\n", "more_body": True})
            await asyncio.sleep(0.4)
    if scope["path"] == "/much":
        for _ in range(4000):
            await send({"type": "http.response.body", "body": bytes(65536), "more_body": True})
    await send({"type": "http.response.body", "body": b"hello"})


@contextmanager
def running(app=small_app, **options) -> Iterator[Open]:
    server = uvicorn.Server(uvicorn.Config(app, port=0, http=Hasty, ws="none", **options))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        until = time.monotonic() + 20
        while not server.started and time.monotonic() < until:
            time.sleep(0.02)
        yield Open(server.servers[0].sockets[0].getsockname()[1], server)
    finally:
        server.should_exit = True
        thread.join(20)
    assert not thread.is_alive()


@pytest.fixture
def quick() -> Iterator[Open]:
    with running() as opened:
        yield opened


def connect(port: int, number: int, stack: ExitStack):
    where = ("127.0.0.1", port)
    return [stack.enter_context(socket.create_connection(where, timeout=10)) for _ in range(number)]


def answers(connection: socket.socket, request: bytes = GET, *, whole: bool = True) -> bool:
    connection.sendall(request)
    said = connection.recv(4096)
    while whole and not said.endswith(b"0\r\n\r\n"):
        said += connection.recv(4096)
    return said.startswith(b"HTTP/1.1 200")


def closed_after_s(connections: list[socket.socket], drip: list[socket.socket], limit_s: float):
    """Wait until the server closed all, while some send a byte of a header every 0.2 s."""
    began = time.monotonic()
    open_ = set(connections) | set(drip)
    with selectors.DefaultSelector() as selector:
        for connection in open_:
            connection.setblocking(False)
            selector.register(connection, selectors.EVENT_READ)
        while open_ and time.monotonic() - began < limit_s:
            for key, _ in selector.select(0.2):
                try:
                    gone = key.fileobj.recv(4096) == b""
                except OSError:
                    gone = True
                if gone:
                    selector.unregister(key.fileobj)
                    open_.discard(key.fileobj)
            for connection in open_ & set(drip):
                with suppress(OSError):
                    connection.send(b"x")
    assert not open_, f"{len(open_)} connections still open after {limit_s} s"
    return time.monotonic() - began


def test_who_sends_no_request_is_sent_away(quick: Open) -> None:
    with ExitStack() as stack:
        idle = connect(quick.port, 5, stack)
        drip = connect(quick.port, 5, stack)
        for connection in drip:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Long: ")
        seconds = closed_after_s(idle, drip, 5)
        assert seconds > 0.9, "sent away too soon"
    assert quick.connections == 0


def test_the_second_request_has_no_more_time_for_its_headers(quick: Open) -> None:
    with ExitStack() as stack:
        (connection,) = connect(quick.port, 1, stack)
        assert answers(connection)
        time.sleep(1.5)
        assert answers(connection), "a connection may rest between requests"
        connection.sendall(b"GET / HTTP/1.1\r\nX-Long: ")
        assert closed_after_s([], [connection], 4) > 0.9


def test_a_body_may_come_slowly_and_an_answer_may_take_long(quick: Open) -> None:
    with ExitStack() as stack:
        (slow,) = connect(quick.port, 1, stack)
        slow.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 15\r\n\r\n")
        for _ in range(14):
            time.sleep(0.2)
            slow.sendall(b"x")
        assert answers(slow, b"x")
        with httpx.Client(base_url=f"http://127.0.0.1:{quick.port}") as client:
            assert client.get("/stream").text == "data: x\n\n" * 8 + "hello"


def test_a_body_that_goes_on_after_the_answer_is_sent_away() -> None:
    async def hasty(scope, receive, send) -> None:
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b""})

    with running(hasty) as opened, ExitStack() as stack:
        (connection,) = connect(opened.port, 1, stack)
        assert answers(connection, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 999999\r\n\r\n")
        closed_after_s([], [connection], 6)


def test_who_reads_nothing_is_sent_away(quick: Open) -> None:
    with ExitStack() as stack:
        (reader,) = connect(quick.port, 1, stack)
        reader.sendall(GET.replace(b"/ ", b"/much ", 1))
        until = time.monotonic() + 8
        while quick.connections > 0 and time.monotonic() < until:
            time.sleep(0.1)
        assert quick.connections == 0
        # A slow reader, who takes something all the time, gets everything.
    with httpx.Client(base_url=f"http://127.0.0.1:{quick.port}", timeout=30) as client:
        with client.stream("GET", "/much") as answer:
            size = 0
            for number, chunk in enumerate(answer.iter_raw(1 << 20)):
                size += len(chunk)
                if number % 40 == 0:
                    time.sleep(0.5)
        assert size == 4000 * 65536 + 5


def test_over_tls_it_is_the_same(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    context = ssl.create_default_context(cafile=str(certificate))
    files = {"ssl_certfile": str(certificate), "ssl_keyfile": str(key)}
    with running(**files) as opened, ExitStack() as stack:
        url = f"https://localhost:{opened.port}"
        with httpx.Client(base_url=url, verify=context, timeout=30) as client:
            assert client.get("/stream").text == "data: x\n\n" * 8 + "hello"
            with client.stream("GET", "/much") as answer:
                assert sum(len(chunk) for chunk in answer.iter_raw()) == 4000 * 65536 + 5
            assert client.post("/", content=bytes(3_000_000)).text == "hello"
        idle, reader = connect(opened.port, 2, stack)
        with (
            context.wrap_socket(idle, server_hostname="localhost") as tls,
            context.wrap_socket(reader, server_hostname="localhost") as silent,
        ):
            tls.sendall(b"GET / HTTP/1.1\r\nX-Long: ")
            tls.settimeout(5)
            assert tls.recv(10) == b""
            silent.sendall(GET.replace(b"/ ", b"/much ", 1))
            until = time.monotonic() + 8
            while opened.connections > 0 and time.monotonic() < until:
                time.sleep(0.1)
        assert opened.connections == 0, "who reads nothing is sent away, over TLS too"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, str]]:
    data = tmp_path_factory.mktemp("slow") / "data"
    key = succeed("keys", "add", "me", "--data", data).strip()
    with serve(data) as server:
        yield server, key
    assert "Traceback" not in server.log.read_text()


@pytest.mark.slow
def test_200_idle_connections_do_not_keep_others_out(served: tuple[Served, str]) -> None:
    server, key = served
    port = int(server.url.rpartition(":")[2])
    with ExitStack() as stack:
        idle = connect(port, 200, stack)
        drip = connect(port, 50, stack)
        for connection in drip:
            connection.sendall(b"GET /v1/models HTTP/1.1\r\nX-Long: ")
        began = time.monotonic()
        with server.client(key) as client:
            assert client.get("/v1/models").status_code == 200
        assert time.monotonic() - began < 2
        seconds = closed_after_s(idle, drip, PatientProtocol.headers_s + 5)
        assert seconds > PatientProtocol.headers_s - 2
