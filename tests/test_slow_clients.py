"""Clients that only hold a connection, against real servers on loopback."""

from __future__ import annotations

import asyncio
import selectors
import socket
import ssl
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from certificate import make_certificate
from pallor.service.listening import server_of
from pallor.service.security.places import ConnectionLimits, Places
from pallor.service.security.tls_door import PatientLoop
from pallor.service.settings import ServiceSettings
from served import Served, serve, succeed

pytestmark = pytest.mark.xdist_group("service")

QUICK = ConnectionLimits(total=40, per_address=20, headers_s=1.0, handshake_s=1.0, stalled_s=2.0)
GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


@dataclass(frozen=True)
class Open:
    port: int
    places: Places


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
def running(settings: ServiceSettings, limits: ConnectionLimits = QUICK) -> Iterator[Open]:
    server, places = server_of(small_app, settings, "127.0.0.1", limits)

    def run() -> None:
        with asyncio.Runner(loop_factory=lambda: PatientLoop(places)) as runner:
            runner.run(server.serve())

    thread = threading.Thread(target=run)
    thread.start()
    try:
        until = time.monotonic() + 20
        while not server.started and time.monotonic() < until:
            time.sleep(0.02)
        yield Open(server.servers[0].sockets[0].getsockname()[1], places)
    finally:
        server.should_exit = True
        thread.join(20)
    assert not thread.is_alive()


@pytest.fixture
def quick(tmp_path: Path) -> Iterator[Open]:
    with running(ServiceSettings(tmp_path, port=0)) as opened:
        yield opened


def connect(port: int, number: int, stack: ExitStack, source: str = "127.0.0.1"):
    made = []
    for _ in range(number):
        connection = socket.create_connection(
            ("127.0.0.1", port), timeout=10, source_address=(source, 0)
        )
        made.append(stack.enter_context(connection))
    return made


def answers(connection: socket.socket, request: bytes = GET, *, whole: bool = True) -> bool:
    connection.sendall(request)
    said = connection.recv(4096)
    while whole and not said.endswith(b"0\r\n\r\n"):
        said += connection.recv(4096)
    return said.startswith(b"HTTP/1.1 200")


def still_open(connections: Iterable[socket.socket]) -> int:
    """How many the server has not closed; what it sent before is thrown away."""
    number = 0
    for connection in connections:
        connection.setblocking(False)
        try:
            while connection.recv(1 << 20):
                pass
        except BlockingIOError:
            number += 1
        except OSError:
            pass
    return number


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
    assert len(quick.places) == 0


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


def test_a_body_that_goes_on_after_the_answer_holds_no_place(tmp_path: Path) -> None:
    async def hasty(scope, receive, send) -> None:
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b""})

    server, places = server_of(hasty, ServiceSettings(tmp_path, port=0), "127.0.0.1", QUICK)
    thread = threading.Thread(
        target=lambda: asyncio.Runner(loop_factory=lambda: PatientLoop(places)).run(server.serve())
    )
    thread.start()
    while not server.started:
        time.sleep(0.02)
    with ExitStack() as stack:
        (connection,) = connect(server.servers[0].sockets[0].getsockname()[1], 1, stack)
        assert answers(connection, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 999999\r\n\r\n")
        closed_after_s([], [connection], 6)
    server.should_exit = True
    thread.join(20)


def test_who_reads_nothing_is_sent_away(quick: Open) -> None:
    with ExitStack() as stack:
        (reader,) = connect(quick.port, 1, stack)
        reader.sendall(GET.replace(b"/ ", b"/much ", 1))
        until = time.monotonic() + 8
        while len(quick.places) > 0 and time.monotonic() < until:
            time.sleep(0.1)
        assert len(quick.places) == 0
        # A slow reader, who takes something all the time, gets everything.
    with httpx.Client(base_url=f"http://127.0.0.1:{quick.port}", timeout=30) as client:
        with client.stream("GET", "/much") as answer:
            size = 0
            for number, chunk in enumerate(answer.iter_raw(1 << 20)):
                size += len(chunk)
                if number % 40 == 0:
                    time.sleep(0.5)
        assert size == 4000 * 65536 + 5


def test_who_waits_longest_gives_way_and_a_request_under_way_never(quick: Open) -> None:
    busy = b"GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with ExitStack() as stack:
        working = connect(quick.port, 10, stack)
        for connection in working:
            assert answers(connection, busy, whole=False)
        flood = connect(quick.port, 30, stack)
        time.sleep(0.3)
        assert len(quick.places) == QUICK.per_address
        assert still_open(working) == 10
        assert still_open(flood[:20]) == 0
        assert still_open(flood[20:]) == 10
        # The same address still gets through, another one anyway.
        (new,) = connect(quick.port, 1, stack)
        assert answers(new)
        others = connect(quick.port, 20, stack, source="127.0.0.2")
        time.sleep(0.3)
        assert len(quick.places) == QUICK.total
        (third,) = connect(quick.port, 1, stack, source="127.0.0.3")
        assert answers(third)
        assert still_open(others) == 20, "of all addresses who waits longest goes"


def test_where_all_work_the_next_one_is_told(quick: Open) -> None:
    busy = b"GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with ExitStack() as stack:
        working = connect(quick.port, 20, stack)
        for connection in working:
            assert answers(connection, busy, whole=False)
        (refused,) = connect(quick.port, 1, stack)
        said = b""
        while more := refused.recv(4096):
            said += more
        assert said.startswith(b"HTTP/1.1 503 ")
        assert b'"code": "busy"' in said
        (other,) = connect(quick.port, 1, stack, source="127.0.0.2")
        assert answers(other)


def test_behind_a_proxy_the_address_of_the_proxy_is_no_limit(tmp_path: Path) -> None:
    with (
        running(ServiceSettings(tmp_path, port=0, behind_proxy=True)) as opened,
        ExitStack() as stack,
    ):
        connect(opened.port, 30, stack)
        time.sleep(0.3)
        assert len(opened.places) == 30


def test_tls_is_agreed_upon_soon_or_never(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    settings = ServiceSettings(tmp_path, port=0, tls_cert=certificate, tls_key=key)
    context = ssl.create_default_context(cafile=str(certificate))
    with running(settings) as opened, ExitStack() as stack:
        silent = connect(opened.port, 5, stack)
        babbling = connect(opened.port, 1, stack)
        babbling[0].sendall(b"hello, is this TLS?\r\n")
        url = f"https://localhost:{opened.port}"
        with httpx.Client(base_url=url, verify=context, timeout=30) as client:
            assert client.get("/").text == "hello"
            assert client.get("/stream").text == "data: x\n\n" * 8 + "hello"
            with client.stream("GET", "/much") as answer:
                assert sum(len(chunk) for chunk in answer.iter_raw()) == 4000 * 65536 + 5
            assert client.post("/", content=bytes(3_000_000)).text == "hello"
        closed_after_s(silent + babbling, [], 5)
        flood = connect(opened.port, 30, stack)
        time.sleep(0.3)
        assert len(opened.places) == QUICK.per_address
        (new,) = connect(opened.port, 1, stack)
        with context.wrap_socket(new, server_hostname="localhost") as tls:
            # The request comes in one flight with the end of the handshake.
            assert answers(tls)
            tls.sendall(b"GET / HTTP/1.1\r\nX-Long: ")
            tls.settimeout(5)
            assert tls.recv(10) == b""
        closed_after_s(flood, [], 5)
        with context.wrap_socket(
            connect(opened.port, 1, stack)[0], server_hostname="localhost"
        ) as tls:
            tls.sendall(GET.replace(b"/ ", b"/much ", 1))
            until = time.monotonic() + 8
            while len(opened.places) > 0 and time.monotonic() < until:
                time.sleep(0.1)
        assert len(opened.places) == 0, "who reads nothing is sent away, over TLS too"


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
    limits = ConnectionLimits()
    with ExitStack() as stack:
        idle = connect(port, 200, stack)
        drip = connect(port, 50, stack)
        for connection in drip:
            connection.sendall(b"GET /v1/models HTTP/1.1\r\nX-Long: ")
        began = time.monotonic()
        with server.client(key) as client:
            assert client.get("/v1/models").status_code == 200
        assert time.monotonic() - began < 2
        seconds = closed_after_s(idle, drip, limits.headers_s + 5)
        assert seconds > limits.headers_s - 2


@pytest.mark.slow
def test_a_flood_of_connections_does_not_keep_others_out(served: tuple[Served, str]) -> None:
    server, key = served
    port = int(server.url.rpartition(":")[2])
    limits = ConnectionLimits()
    with ExitStack() as stack:
        flood = connect(port, limits.per_address + 100, stack)
        with server.client(key) as client:
            assert client.get("/v1/models").status_code == 200
        assert still_open(flood) <= limits.per_address
