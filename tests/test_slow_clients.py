"""Clients that hold connections, or keep the server busy, against real servers on loopback."""

from __future__ import annotations

import asyncio
import logging
import selectors
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import uvicorn
from uvicorn.server import ServerState

from certificate import make_certificate
from pallor.service.open_files import raise_open_files
from pallor.service.security import slow_clients
from pallor.service.security.slow_clients import MAX_CONNECTIONS, PatientProtocol
from served import Served, serve, succeed

pytestmark = pytest.mark.xdist_group("service")

GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"


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
    options = {"http": Hasty, **options}
    server = uvicorn.Server(uvicorn.Config(app, port=0, ws="none", **options))
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


def ended(connections: list[socket.socket], within_s: float) -> list[bool]:
    """Tell of each whether the server ended it, or does within some seconds."""

    def is_ended(connection: socket.socket) -> bool:
        try:
            return connection.recv(1) == b""
        except TimeoutError:
            return False
        except ConnectionResetError:
            return True

    for connection in connections:
        connection.settimeout(within_s)
    return [is_ended(connection) for connection in connections]


def test_one_connection_too_many_ends_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slow_clients, "MAX_CONNECTIONS", 5)
    with running(http=PatientProtocol) as opened, ExitStack() as stack:
        connections = connect(opened.port, 8, stack)
        assert ended(connections[5:], 5) == [True] * 3
        assert ended(connections[:5], 0.05) == [False] * 5
        assert opened.connections == 5
        connections[0].settimeout(10)
        assert answers(connections[0]), "those before it go on"


@dataclass
class Line(asyncio.Transport):
    host: str
    aborted: bool = False

    def get_extra_info(self, name, default=None):
        return (self.host, 40_000) if name == "peername" else default

    def abort(self) -> None:
        self.aborted = True


@pytest.mark.parametrize("proxy", [False, True])
def test_one_address_has_not_all_connections(proxy: bool) -> None:
    async def open_() -> list[bool]:
        config = uvicorn.Config(small_app, ws="none", proxy_headers=proxy)
        state = ServerState()
        lines = [Line("192.0.2.1") for _ in range(102)] + [Line("192.0.2.2")]
        for line in lines:
            PatientProtocol(config, state, {}).connection_made(line)
        return [line.aborted for line in lines]

    assert asyncio.run(open_()) == [False] * 100 + [not proxy] * 2 + [False]


def chunks(number: int, size: int) -> bytes:
    return b"%x\r\n%s\r\n" % (size, bytes(size)) * number


def test_a_body_in_a_great_many_small_chunks_is_not_read(quick: Open) -> None:
    number = slow_clients.MAX_SMALL_CHUNKS
    with ExitStack() as stack:
        sound, one, small = connect(quick.port, 3, stack)
        for request in (chunks(number, 1), chunks(number, 1), chunks(3 * number, 256)):
            assert answers(sound, CHUNKED + request + b"0\r\n\r\n")
        with suppress(ConnectionError):
            one.sendall(CHUNKED + chunks(20 * number, 1))
        with suppress(ConnectionError):
            small.sendall(CHUNKED + chunks(20 * number, 200))
        assert ended([one, small], 5) == [True, True]


@pytest.mark.parametrize("begun", [False, True])
def test_a_body_that_breaks_off_into_nonsense_leaves_no_trace(
    begun: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async def deaf(scope, receive, send) -> None:
        if scope["type"] != "http":
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x", "more_body": True})
        await asyncio.sleep(0.5)
        await send({"type": "http.response.body", "body": b"x"})

    with caplog.at_level(logging.INFO), running(deaf, log_config=None) as opened:
        with socket.create_connection(("127.0.0.1", opened.port), timeout=10) as connection:
            if begun:
                connection.sendall(CHUNKED + chunks(1, 10))
                time.sleep(0.2)
                connection.sendall(b"no chunk\r\n")
            else:
                connection.sendall(CHUNKED + b"no chunk\r\n")
            said = b""
            with suppress(ConnectionResetError):
                while more := connection.recv(4096):
                    said += more
        assert said.startswith(b"HTTP/1.1 200" if begun else b"HTTP/1.1 400")
        time.sleep(0.7)
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, str]]:
    data = tmp_path_factory.mktemp("slow") / "data"
    key = succeed("keys", "add", "me", "--data", data).strip()
    # The limit of one address is not that of a proxy.
    with serve(data, "--behind-proxy") as server:
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


@pytest.mark.slow
def test_idle_connections_do_not_use_up_the_files(tmp_path: Path) -> None:
    raise_open_files()
    succeed("keys", "add", "me", "--data", tmp_path / "data")
    with serve(tmp_path / "data", "--behind-proxy", files=1024) as server, ExitStack() as stack:
        log = server.log.read_text()
        assert "only 1024 files may be open" in log
        connections = connect(int(server.url.rpartition(":")[2]), MAX_CONNECTIONS + 300, stack)
        time.sleep(1)
        for connection in connections:
            connection.setblocking(False)
        kept = 0
        for connection in connections:
            try:
                connection.recv(1)
            except BlockingIOError:
                kept += 1
            except ConnectionResetError:
                pass
        assert kept <= MAX_CONNECTIONS
        time.sleep(PatientProtocol.headers_s)
        assert httpx.get(f"{server.url}/healthz", timeout=10).status_code == 200
        assert server.log.read_text() == log, "nothing is logged for a connection"


def test_the_limit_of_open_files_is_raised_as_far_as_may_be() -> None:
    code = (
        "import resource; from pallor.service.open_files import raise_open_files;"
        "hard = min(resource.getrlimit(resource.RLIMIT_NOFILE)[1], 900);"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (300, hard));"
        "assert raise_open_files() == hard;"
        "assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
