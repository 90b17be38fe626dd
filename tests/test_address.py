from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pallor.cohort.address import (
    PROTOCOLS,
    AddressError,
    check_address,
    is_address,
    joined,
    parent,
    shown_address,
    without_secrets,
)
from pallor.cohort.table_columns import BadCellError, clip_identity, parse_clip

SECRET = "tr0ub4dor"  # noqa: S105


@pytest.mark.parametrize(
    "text",
    [
        "s3://bucket/a/b c.mp4", "gs://b/ä.mp4", "az://c/x", "abfs://c@account/x", "hdfs://h:1/x",
        "sftp://me@host/x.mp4", "https://host:8443/x.mp4?X-Amz-Signature=1", "S3://bucket/x",
        "s3://b/a?b#c@d.mp4",
    ],
)  # fmt: skip
def test_an_address_that_is_allowed_is_kept_exactly(text: str) -> None:
    assert is_address(text)
    assert parse_clip(text) == text


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("ftp://host/x", "another kind than s3, gs"),
        ("file:///etc/passwd", "another kind"),
        ("memory://x", "another kind"),
        ("simplecache::s3://b/x", "another kind"),
        ("s3::http://b/x", "another kind"),
        ("s3://b/x::http://h/y", "several addresses"),
        ("zip://x::s3://b/y", "another kind"),
        ("https://host/s3://b/x", "several addresses"),
        ("s3:///x", "names no host or bucket"),
        ("s3://", "names no host or bucket"),
        ("https://h:port/x", "no address of a web server"),
        (f"https://me:{SECRET}@host/x", "holds a password"),
        (f"sftp://me%3A{SECRET}@host/x", "holds a password"),
    ],
)
def test_what_is_not_allowed_is_refused_without_its_secrets(text: str, says: str) -> None:
    if not is_address(text):  # a chain: no path that anything opens as an address
        assert "::" in text
        return
    with pytest.raises(BadCellError, match=says) as caught:
        parse_clip(text)
    assert SECRET not in str(caught.value)


@given(st.text(max_size=40), st.sampled_from([*PROTOCOLS, "ftp", "x+y"]))
def test_any_text_behind_a_protocol_is_taken_or_refused(rest: str, protocol: str) -> None:
    text = f"{protocol}://{rest}"
    try:
        assert check_address(text) == text
    except AddressError as error:
        assert str(error).splitlines() == [str(error)]
    shown_address(text)
    clip_identity(text)
    parent(text)


_QUIET = st.text("abcdefgh/:@?&=#% .", max_size=12)


@given(_QUIET, _QUIET, st.sampled_from(["?sig=", "?a=1&X-Amz-Signature=", "?"]))
def test_a_signature_is_in_no_message(before: str, after: str, mark: str) -> None:
    text = f"https://host/{before}{mark}{SECRET}{after}"
    assert SECRET not in shown_address(text)
    assert SECRET not in without_secrets(f"404, url='{text}' and {SECRET}{after}", text)
    try:
        check_address(text)
    except AddressError as error:
        assert SECRET not in str(error)


@given(_QUIET, st.sampled_from([*PROTOCOLS, "ftp"]))
def test_a_password_is_in_no_message(user: str, protocol: str) -> None:
    text = f"{protocol}://{user}:{SECRET}@host/x.mp4"
    assert SECRET not in shown_address(text)
    assert SECRET not in without_secrets(f"could not reach {text}", text)
    try:
        check_address(text)
    except AddressError as error:
        assert SECRET not in str(error)
    else:
        assert "/" in user  # then it is a path, not a password


@pytest.mark.parametrize(
    ("base", "path", "whole"),
    [
        ("s3://b/study", "a/x.mp4", "s3://b/study/a/x.mp4"),
        ("s3://b", "x y#1.mp4", "s3://b/x y#1.mp4"),
        ("s3://b/study/tables", "../clips/x.mp4", "s3://b/study/clips/x.mp4"),
        ("https://h:1/d", "x y#1?.mp4", "https://h:1/d/x%20y%231%3F.mp4"),
    ],
)
def test_relative_clips_lie_beside_the_table(base: str, path: str, whole: str) -> None:
    assert joined(base, path) == whole


def test_a_clip_does_not_lead_out_of_its_bucket() -> None:
    for path in ("../../other/x.mp4", "/etc/passwd"):
        with pytest.raises(AddressError):
            joined("s3://bucket/study", path)


def test_stores_take_an_address_literally() -> None:
    assert parent("https://h/a/t.csv?sig=1") == "https://h/a"
    assert clip_identity("gcs://b/x") == clip_identity("gs://b/x")
    assert clip_identity("s3://b/a/../x") != clip_identity("s3://b/x")
    assert clip_identity("s3://b//x") != clip_identity("s3://b/x")
