"""The state of the stack machine that reads the object part of a checkpoint."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from pallor.weights.checkpoint_records import Storage

MAX_NAME_BYTES = 200
"""Of a module or of a global in it."""


@dataclass(frozen=True)
class ObjectPart:
    """What came of an object part.

    Attributes
    ----------
    value
        Plain values, tuples, lists, dictionaries and inert records.
    storages
        Every storage that it refers to, by key.
    end
        Position in the file behind it.
    """

    value: object
    storages: dict[str, Storage]
    end: int


class Machine:
    """State of a run: where it stands in the bytes, its stack, marks and memo."""

    def __init__(self, content: bytes, start: int, end: int) -> None:
        self.content = content
        self.position = start
        self.end = end
        self.stack: list[object] = []
        self.marks: list[list[object]] = []
        self.memo: dict[int, object] = {}
        self.storages: dict[str, Storage] = {}

    def take(self, count: int) -> bytes:
        """Return the next ``count`` bytes, which must be there."""
        start = self.position
        if count > self.end - start:
            raise ValueError("its object part ends early")
        self.position = start + count
        return self.content[start : self.position]

    def number(self, form: struct.Struct) -> int:
        """Return the next number."""
        return int(form.unpack(self.take(form.size))[0])

    def line(self) -> str:
        """Return the text up to the next line feed, escaped where it is not printable."""
        stop = min(self.end, self.position + MAX_NAME_BYTES)
        found = self.content.find(b"\n", self.position, stop)
        if found < 0:
            raise ValueError("a name in its object part does not end")
        raw = self.take(found + 1 - self.position)[:-1]
        return raw.decode("latin-1").encode("unicode_escape").decode("ascii")

    def pop(self) -> object:
        """Take the topmost object."""
        if not self.stack:
            raise ValueError("its object part takes from an empty stack")
        return self.stack.pop()

    def pop_mark(self) -> list[object]:
        """Take everything since the last mark."""
        if not self.marks:
            raise ValueError("its object part takes up to a mark that was not set")
        items, self.stack = self.stack, self.marks.pop()
        return items

    def top(self) -> object:
        """Return the topmost object and leave it there."""
        if not self.stack:
            raise ValueError("its object part looks at an empty stack")
        return self.stack[-1]
