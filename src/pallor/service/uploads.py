"""A multipart form that arrives piece by piece: fields, and one file that goes to disk."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO

from pallor.service.content_type import SNIFFED_BYTES, kind_of
from pallor.service.refusals import (
    ClientGoneError,
    MalformedUploadError,
    TooLargeError,
    TooSlowError,
    WrongTypeError,
)

if TYPE_CHECKING:
    from starlette.requests import Request

FILE_FIELD = "file"
MAX_FIELDS = 20
MAX_FIELD_BYTES = 1000
FORM_BYTES = 64 * 1024
"""What a form may hold beside its file."""
BATCH_BYTES = 512 * 1024
"""Written at once; a thread for each packet would be slower than the network."""
STALL_S = 30.0
"""Longest time without a byte."""
TOTAL_S = 1800.0
"""Longest time for an upload; 500 MB in half an hour are 2.2 Mbit/s."""
SMALL_BODY_S = 10.0
"""Longest time for a body that is read whole: the largest, a picture of 200 kB, at 160 kbit/s."""


@dataclass(frozen=True)
class Upload:
    """What arrived.

    Attributes
    ----------
    fields
        The form's other fields; an empty value counts as not given.
    size
        Bytes of the file.
    kind
        Container by content.
    sha256
        Of the file, 64 hexadecimal digits.
    """

    fields: Mapping[str, str]
    size: int
    kind: str
    sha256: str


@dataclass
class _Form:
    """Collects what the parser finds; what is to be written waits for the next turn."""

    max_bytes: int
    check: Callable[[Mapping[str, str]], object]
    fields: dict[str, str] = field(default_factory=dict)
    pending: list[bytes] = field(default_factory=list)
    head: bytearray = field(default_factory=bytearray)
    size: int = 0
    files: int = 0
    parts: int = 0
    kind: str | None = None
    complete: bool = False
    _name: str = ""
    _is_file: bool = False
    _value: bytearray = field(default_factory=bytearray)
    _header: bytearray = field(default_factory=bytearray)
    _header_value: bytearray = field(default_factory=bytearray)
    _disposition: bytes = b""

    def callbacks(self) -> Any:
        names = [
            *("part_begin", "part_data", "part_end", "header_field", "header_value"),
            *("header_end", "headers_finished", "end"),
        ]
        return {f"on_{name}": getattr(self, name) for name in names}

    def part_begin(self) -> None:
        self.parts += 1
        if self.parts > MAX_FIELDS:
            raise MalformedUploadError(f"more than {MAX_FIELDS} fields in the form")
        self._disposition = b""
        self._value = bytearray()

    def header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def header_end(self) -> None:
        if bytes(self._header).lower() == b"content-disposition":
            self._disposition = bytes(self._header_value)
        self._header, self._header_value = bytearray(), bytearray()

    def headers_finished(self) -> None:
        from python_multipart.multipart import parse_options_header

        _, options = parse_options_header(self._disposition)
        # The name that the client gives the file is not even looked at.
        self._name = options.get(b"name", b"").decode("utf-8", "replace")
        self._is_file = self._name == FILE_FIELD
        if not self._name:
            raise MalformedUploadError("a field of the form has no name")
        if self._is_file:
            self.files += 1
            if self.files > 1:
                raise MalformedUploadError("more than one file; send one clip at a time")
            self.check(self.fields)
        elif b"filename" in options:
            raise MalformedUploadError(f"the clip belongs in the field {FILE_FIELD!r}")
        elif self._name in self.fields:
            raise MalformedUploadError("a field was given twice")

    def part_data(self, data: bytes, start: int, end: int) -> None:
        if not self._is_file:
            self._value += data[start:end]
            if len(self._value) > MAX_FIELD_BYTES:
                raise MalformedUploadError(f"a field is longer than {MAX_FIELD_BYTES} bytes")
            return
        self.size += end - start
        if self.size > self.max_bytes:
            raise too_large(self.max_bytes)
        self.pending.append(data[start:end])
        if self.kind is None:
            self.head += data[start : min(end, start + SNIFFED_BYTES)]
            if len(self.head) >= SNIFFED_BYTES:
                self._sniff()

    def part_end(self) -> None:
        if self._is_file:
            if self.kind is None:
                self._sniff()
            return
        try:
            value = self._value.decode("utf-8")
        except UnicodeDecodeError:
            raise MalformedUploadError("a field is not UTF-8 text") from None
        if value.strip():
            self.fields[self._name] = value.strip()

    def end(self) -> None:
        self.complete = True

    def _sniff(self) -> None:
        if self.size == 0:
            raise MalformedUploadError("the file is empty")
        self.kind = kind_of(bytes(self.head))
        if self.kind is None:
            raise WrongTypeError(
                "the file is no video or picture that is read here: send MP4, MOV, WebM, "
                "Matroska, AVI, JPEG or PNG"
            )


def too_large(max_bytes: int) -> TooLargeError:
    """Return the error for what is larger than the limit."""
    size = f"{max_bytes / 2**20:.0f} MB" if max_bytes >= 2**20 else f"{max_bytes} bytes"
    return TooLargeError(f"larger than {size}, the limit of this service")


def refuse_by_length(request: Request, max_bytes: int) -> None:
    """Refuse a body that already says that it is too large.

    Raises
    ------
    TooLargeError
        By its ``Content-Length``.
    """
    length = request.headers.get("content-length", "")
    if length.isascii() and length.isdigit() and int(length) > max_bytes:
        raise too_large(max_bytes)


async def read_body(request: Request, max_bytes: int) -> bytes:
    """Read a small body whole.

    Raises
    ------
    TooLargeError
        As soon as it is longer than the limit.
    TooSlowError
        If it takes longer than `SMALL_BODY_S`.
    """
    refuse_by_length(request, max_bytes)
    body = bytearray()
    async for chunk in _paced(request, SMALL_BODY_S, SMALL_BODY_S):
        body += chunk
        if len(body) > max_bytes:
            raise too_large(max_bytes)
    return bytes(body)


def take_all(_fields: Mapping[str, str]) -> None:
    """Refuse no field."""


async def receive_upload(
    request: Request,
    target: Callable[[], BinaryIO],
    max_bytes: int,
    check: Callable[[Mapping[str, str]], object] = take_all,
) -> Upload:
    """Read a form with one file, which is written as it comes.

    Parameters
    ----------
    request
        Its body has not been read.
    target
        Makes the file; called once the first bytes look like a clip.
    max_bytes
        Of the file.
    check
        Called with the fields that came before the file, as that begins. What it raises ends the
        upload; the fields that come after the file are the caller's matter.

    Raises
    ------
    MalformedUploadError
        No multipart form, cut off, without a file, with too many or too long fields.
    TooLargeError
        As soon as the file is larger than the limit; nothing more is read.
    WrongTypeError
        As soon as the first bytes are of no clip.
    TooSlowError
        If the upload stands still or takes too long.
    """
    from python_multipart.exceptions import FormParserError
    from python_multipart.multipart import MultipartParser, parse_options_header

    kind, options = parse_options_header(request.headers.get("content-type"))
    boundary = options.get(b"boundary", b"")
    if kind != b"multipart/form-data" or not boundary:
        raise WrongTypeError("send a form of type multipart/form-data")
    refuse_by_length(request, max_bytes + FORM_BYTES)
    form = _Form(max_bytes, check)
    digest = hashlib.sha256()
    file: BinaryIO | None = None
    read = written = 0
    try:
        parser = MultipartParser(boundary, form.callbacks())
        async for chunk in _paced(request, STALL_S, TOTAL_S):
            read += len(chunk)
            parser.write(chunk)
            if read - form.size > FORM_BYTES:
                raise MalformedUploadError("the form holds too much beside its file")
            waiting = form.size - written
            if form.kind is not None and (waiting >= BATCH_BYTES or (form.complete and waiting)):
                if file is None:
                    file = await asyncio.to_thread(target)
                await asyncio.to_thread(_write, file, form.pending, digest)
                form.pending.clear()
                written = form.size
        parser.finalize()
    except FormParserError:
        raise MalformedUploadError("the form is damaged") from None
    if not form.complete:
        raise MalformedUploadError("the form ends early")
    if form.kind is None:
        raise MalformedUploadError(f"the form has no field {FILE_FIELD!r} with a clip")
    return Upload(form.fields, form.size, form.kind, digest.hexdigest())


def _write(file: BinaryIO, pieces: list[bytes], digest: hashlib._Hash) -> None:
    file.writelines(pieces)
    for piece in pieces:
        digest.update(piece)


async def _paced(request: Request, stall_s: float, total_s: float) -> AsyncIterator[bytes]:
    """Yield the body's pieces; who sends too slowly holds no place for ever."""
    from starlette.requests import ClientDisconnect

    loop = asyncio.get_running_loop()
    until = loop.time() + total_s
    stream = request.stream()
    while True:
        try:
            async with asyncio.timeout(min(stall_s, until - loop.time())):
                chunk = await anext(stream)
        except StopAsyncIteration:
            return
        except ClientDisconnect:
            raise ClientGoneError("the upload was broken off") from None
        except TimeoutError:
            raise TooSlowError("the upload took too long; try a better connection") from None
        if chunk:
            yield chunk
