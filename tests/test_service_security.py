from __future__ import annotations

from dataclasses import dataclass

import pytest
from starlette.datastructures import Headers

from pallor.errors import UsageError
from pallor.service.content_type import kind_of
from pallor.service.refusals import CrossSiteError, NotAcceptableError, TooManyRequestsError
from pallor.service.security.exposure import Exposure, is_loopback
from pallor.service.security.headers import CONTENT_SECURITY_POLICY
from pallor.service.security.origin import (
    refuse_cross_site,
    refuse_cross_site_reading,
    refuse_not_local,
)
from pallor.service.security.principal import LOCAL, Principal
from pallor.service.security.rate_limits import MAX_BUCKETS, Rate, RateLimiter, Rates
from pallor.service.security.sessions import LIFETIME_S, MAX_OF_KEY, SessionStore, csrf_matches
from pallor.service.store.keys import Role


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("host", "inside"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("[::1]", True),
        ("localhost", True),
        ("LOCALHOST", True),
        ("0.0.0.0", False),  # noqa: S104
        ("::", False),
        ("192.168.1.4", False),
        ("localhost.example", False),
        ("", False),
    ],
)
def test_what_is_loopback(host: str, inside: bool) -> None:
    assert is_loopback(host) is inside


@pytest.mark.parametrize(
    ("host", "tls", "proxy", "keys", "starts"),
    [
        ("127.0.0.1", False, False, 0, True),
        ("127.0.0.1", True, False, 0, True),
        ("127.0.0.1", False, True, 0, False),
        ("127.0.0.1", False, True, 1, True),
        ("192.168.1.4", False, False, 1, False),
        ("192.168.1.4", True, False, 0, False),
        ("192.168.1.4", True, False, 1, True),
        ("192.168.1.4", False, True, 1, True),
    ],
)
def test_where_it_starts(host: str, tls: bool, proxy: bool, keys: int, starts: bool) -> None:
    exposure = Exposure(host, tls, proxy)
    if starts:
        exposure.refuse(keys)
    else:
        with pytest.raises(UsageError):
            exposure.refuse(keys)


def test_a_bucket_empties_and_fills() -> None:
    clock = Clock()
    limiter = RateLimiter(Rates(general=Rate(2.0, 3)), clock)
    for _ in range(3):
        limiter.take("general", "a")
    with pytest.raises(TooManyRequestsError) as refused:
        limiter.take("general", "a")
    assert refused.value.headers["Retry-After"] == "1"
    limiter.take("general", "b")
    clock.now += 0.5
    limiter.take("general", "a")
    with pytest.raises(TooManyRequestsError):
        limiter.take("general", "a")
    clock.now += 3600
    for _ in range(3):
        limiter.take("general", "a")
    with pytest.raises(TooManyRequestsError):
        limiter.take("general", "a")


def test_the_memory_of_buckets_is_bounded() -> None:
    limiter = RateLimiter(clock=Clock())
    for number in range(MAX_BUCKETS + 50):
        limiter.take("general", str(number))
    assert len(limiter._buckets) == MAX_BUCKETS


def test_sessions_end() -> None:
    clock = Clock()
    sessions = SessionStore(clock)
    token, session = sessions.open("key")
    assert sessions.get(token) == session
    assert sessions.get(token + "x") is None
    assert csrf_matches(session.csrf_token, session.csrf_token)
    assert not csrf_matches(session.csrf_token, None)
    assert not csrf_matches(session.csrf_token, "ä")
    clock.now += LIFETIME_S
    assert sessions.get(token) is None
    token, _ = sessions.open("key")
    sessions.close(token)
    assert sessions.get(token) is None


def test_who_signs_in_without_end_signs_nobody_else_out() -> None:
    sessions = SessionStore(Clock())
    other, _ = sessions.open("other")
    tokens = [sessions.open("key")[0] for _ in range(3 * MAX_OF_KEY)]
    assert sessions.get(other) is not None
    assert [token for token in tokens if sessions.get(token)] == tokens[-MAX_OF_KEY:]


@pytest.mark.parametrize(
    ("method", "headers", "passes"),
    [
        ("POST", {"host": "a.example"}, True),
        ("POST", {"host": "a.example", "origin": "https://a.example"}, True),
        ("POST", {"host": "a.example", "origin": "https://b.example"}, False),
        ("POST", {"host": "a.example", "origin": "null"}, False),
        ("POST", {"host": "a.example", "origin": "http://[x"}, False),
        ("POST", {"host": "a.example:8000", "origin": "http://a.example:9000"}, False),
        ("DELETE", {"host": "a.example", "sec-fetch-site": "cross-site"}, False),
        ("DELETE", {"host": "a.example", "sec-fetch-site": "same-site"}, False),
        ("DELETE", {"host": "a.example", "sec-fetch-site": "same-origin"}, True),
        ("GET", {"host": "a.example", "sec-fetch-site": "cross-site"}, True),
    ],
)
def test_other_sites_change_nothing(method: str, headers: dict[str, str], passes: bool) -> None:
    if passes:
        refuse_cross_site(method, Headers(headers))
    else:
        with pytest.raises(CrossSiteError):
            refuse_cross_site(method, Headers(headers))


@pytest.mark.parametrize(
    ("headers", "passes"),
    [
        ({"host": "localhost:8000"}, True),
        ({"host": "127.0.0.1"}, True),
        ({"host": "[::1]:8000"}, True),
        ({"host": "rebound.example:8000"}, False),
        ({"host": "[x"}, False),
        ({"host": ""}, False),
        ({}, False),
        ({"host": "localhost", "x-forwarded-for": "192.0.2.1"}, False),
        ({"host": "localhost", "forwarded": "for=192.0.2.1"}, False),
        ({"host": "localhost", "via": "1.1 proxy"}, False),
        ({"host": "localhost", "x-forwarded-proto": "https"}, False),
        ({"host": "localhost", "x-forwarded-port": "443"}, False),
        ({"host": "localhost", "x-forwarded-server": "proxy"}, False),
    ],
)
def test_without_keys_only_who_means_this_machine(headers: dict[str, str], passes: bool) -> None:
    if passes:
        refuse_not_local(Headers(headers), "1.1")
    else:
        with pytest.raises(CrossSiteError):
            refuse_not_local(Headers(headers), "1.1")


def test_without_keys_the_http_of_proxies_is_refused() -> None:
    with pytest.raises(CrossSiteError, match="--behind-proxy"):
        refuse_not_local(Headers({"host": "127.0.0.1"}), "1.0")


VISIT = {"sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}


@pytest.mark.parametrize(
    ("path", "headers", "passes"),
    [
        ("/v1/study", {}, True),
        ("/v1/study", {"sec-fetch-site": "same-origin", "sec-fetch-mode": "cors"}, True),
        ("/v1/study", {"sec-fetch-site": "none", **VISIT}, True),
        ("/v1/study", {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}, False),
        ("/v1/study", {"sec-fetch-site": "cross-site", **VISIT}, False),
        ("/metrics", {"sec-fetch-site": "same-site", **VISIT}, False),
        ("/v1/study", {"origin": "http://localhost:3000"}, False),
        ("/v1/study", {"origin": "http://localhost:8000"}, True),
        ("/study", {"sec-fetch-site": "cross-site", **VISIT}, True),
        ("/study", {"sec-fetch-site": "same-site", **VISIT}, True),
        ("/study", {"sec-fetch-site": "cross-site", **VISIT, "sec-fetch-dest": "iframe"}, False),
        ("/study", {"sec-fetch-site": "same-site", "sec-fetch-mode": "no-cors"}, False),
    ],
)
def test_without_keys_other_sites_ask_for_nothing(
    path: str, headers: dict[str, str], passes: bool
) -> None:
    sent = Headers({"host": "localhost:8000", **headers})
    if passes:
        refuse_cross_site_reading(path, sent)
    else:
        with pytest.raises(CrossSiteError):
            refuse_cross_site_reading(path, sent)


def test_who_sees_what() -> None:
    phone, boss = Principal("p", Role.MEASURE, "p"), Principal("b", Role.ADMIN, "b")
    assert phone.may_see("p")
    assert not phone.may_see("q")
    assert not phone.may_see(None)
    assert boss.may_see("p")
    assert boss.may_see(None)
    assert LOCAL.may_see(None)


def test_a_role_includes_those_before_it() -> None:
    allowed = {
        role: [needed for needed in Role if Principal("x", role).allowed((needed,))]
        for role in Role
    }
    assert allowed == {
        Role.MEASURE: [Role.MEASURE],
        Role.STUDY: [Role.MEASURE, Role.STUDY],
        Role.ADMIN: [Role.MEASURE, Role.STUDY, Role.ADMIN],
    }
    assert Principal("x", Role.MEASURE).allowed(("measure", "study"))
    for role in Role:
        assert not Principal("x", role).allowed(())
        assert not Principal("x", role).allowed(("unknown",))


def test_the_policy_allows_nothing_inline_and_nothing_from_elsewhere() -> None:
    assert "unsafe" not in CONTENT_SECURITY_POLICY
    assert "http" not in CONTENT_SECURITY_POLICY
    assert "*" not in CONTENT_SECURITY_POLICY
    assert CONTENT_SECURITY_POLICY.startswith("default-src 'none'")


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"\0\0\0\x18ftypisom\0\0\0\0", "mp4"),
        (b"\0\0\0\x08wide\0\0\0\0mdat", "mp4"),
        (b"\x1a\x45\xdf\xa3" + b"\0" * 12, "matroska"),
        (b"RIFF\0\0\0\0AVI LIST", "avi"),
        (b"RIFF\0\0\0\0WAVEfmt ", None),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 8, "png"),
        (b"\xff\xd8\xff\xe0" + b"\0" * 12, "jpeg"),
        (b"#EXTM3U\n#EXTINF:", None),
        (b"GIF89a" + b"\0" * 10, None),
        (b"MZ" + b"\0" * 14, None),
        (b"ftyp", None),
        (b"", None),
    ],
)
def test_the_first_bytes_tell_the_type(head: bytes, kind: str | None) -> None:
    assert kind_of(head) == kind


@pytest.mark.parametrize(
    ("accept", "fhir"),
    [
        (None, False),
        ("*/*", False),
        ("application/json", False),
        ("application/fhir+json", True),
        ("application/fhir+json, */*", True),
        ("application/json, application/fhir+json;q=0.5", False),
        ("application/json;q=0.2, application/fhir+json;q=0.5", True),
        ("application/fhir+json;q=0, application/json", False),
        ("text/html, */*;q=0.8", False),
    ],
)
def test_the_form_that_is_asked_for(accept: str | None, fhir: bool) -> None:
    from pallor.service.api.representation import wants_fhir

    assert wants_fhir(accept) is fhir


@pytest.mark.parametrize("accept", ["text/html", "application/fhir+xml", "application/json;q=x"])
def test_a_form_that_there_is_not(accept: str) -> None:
    from pallor.service.api.representation import wants_fhir

    with pytest.raises(NotAcceptableError):
        wants_fhir(accept)
