"""What is wrong with certificate, key, address or port shows before anything is started."""

from __future__ import annotations

import errno
import socket
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from certificate import make_certificate
from pallor.cli.listening import bind, check_tls, shown_address
from pallor.errors import UsageError
from served import pallor


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    return make_certificate(tmp_path)


def openssl(*arguments: object) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


def test_a_certificate_with_its_key_is_taken(pair: tuple[Path, Path], tmp_path: Path) -> None:
    assert check_tls(*pair) is None
    both = tmp_path / "both.pem"
    both.write_bytes(b"".join(file.read_bytes() for file in pair))
    assert check_tls(both, both) is None


def test_the_key_of_another_certificate_is_refused(pair: tuple[Path, Path], tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    _, key = make_certificate(other)
    with pytest.raises(UsageError, match=r"--tls-key .*not the key of the certificate"):
        check_tls(pair[0], key)


def test_swapped_files_and_what_is_no_pem_are_refused(
    pair: tuple[Path, Path], tmp_path: Path
) -> None:
    certificate, key = pair
    with pytest.raises(UsageError, match=r"--tls-cert .*no certificate in PEM"):
        check_tls(key, certificate)
    junk = tmp_path / "junk"
    junk.write_bytes(b"\x30\x82\x01\xff" * 100)
    with pytest.raises(UsageError, match=r"--tls-key .*no private key in PEM"):
        check_tls(certificate, junk)
    with pytest.raises(UsageError, match=r"--tls-key .*No such file"):
        check_tls(certificate, tmp_path / "absent")
    cut = tmp_path / "cut.pem"
    cut.write_bytes(certificate.read_bytes()[:200])
    with pytest.raises(UsageError, match=r"--tls-cert .*cannot be loaded"):
        check_tls(cut, key)


def test_a_key_with_a_passphrase_is_refused_without_asking_for_it(
    pair: tuple[Path, Path], tmp_path: Path
) -> None:
    locked = tmp_path / "locked.pem"
    openssl("pkey", "-in", pair[1], "-aes256", "-passout", "pass:geheim", "-out", locked)
    with pytest.raises(UsageError, match=r"--tls-key .*passphrase"):
        check_tls(pair[0], locked)


def test_a_certificate_that_is_out_of_date_is_told(pair: tuple[Path, Path], tmp_path: Path) -> None:
    request, old = tmp_path / "request.pem", tmp_path / "old.pem"
    openssl("req", "-new", "-key", pair[1], "-subj", "/CN=localhost", "-out", request)
    # Valid for no time at all, as of a second ago or so.
    days = ("-days", "-1") if _takes_negative_days() else ("-days", "0")
    openssl("x509", "-req", "-in", request, "-signkey", pair[1], *days, "-out", old)
    warning = check_tls(old, pair[1])
    assert warning is not None and "out of date" in warning and str(old) in warning


def _takes_negative_days() -> bool:
    said = subprocess.run(["openssl", "version"], capture_output=True, text=True, check=True)
    return said.stdout.split()[1] < "3.4"


def test_a_port_that_is_taken_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        run = pallor("serve", "--data", tmp_path / "data", "--port", port)
    assert run.returncode == 2
    assert run.stderr.splitlines() == [
        f"pallor: --port {port}: in use on 127.0.0.1: stop what listens there, or give another port"
    ]
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("host", "says"),
    [("192.0.2.1", "not an address of this machine"), ("no.such.host.invalid", "no address"),
     ("a" * 70, "no address")],
)  # fmt: skip
def test_an_address_that_cannot_be_had_is_refused(host: str, says: str) -> None:
    with pytest.raises(UsageError, match=f"--host {host}: {says}"):
        bind(host, 0)


def test_a_port_of_the_administrator_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    # Whoever runs the tests may be the administrator.
    monkeypatch.setattr("pallor.cli.listening._bound", refuse)
    with pytest.raises(UsageError, match="--port 1: only the administrator"):
        bind("127.0.0.1", 1)


def test_the_address_that_is_shown_can_be_connected_to() -> None:
    (bound,) = bind("127.0.0.1", 0)
    with closing(bound):
        bound.listen()
        port = bound.getsockname()[1]
        assert shown_address("127.0.0.1", [bound], tls=False) == f"http://127.0.0.1:{port}"
        assert shown_address("::1", [bound], tls=True) == f"https://[::1]:{port}"
        assert shown_address("[::1]", [bound], tls=True) == f"https://[::1]:{port}"
        socket.create_connection(("127.0.0.1", port), timeout=5).close()


def test_all_addresses_of_a_name_have_one_port() -> None:
    bound = bind("localhost", 0)
    try:
        assert len({each.getsockname()[1] for each in bound}) == 1
    finally:
        for each in bound:
            each.close()
