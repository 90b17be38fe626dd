"""What the locks pin, and whether each pin can be trusted."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# An address could be another than the one that whoever installs has chosen to trust.
_ADDRESS = re.compile(r"://|^\s*-(?:-index-url|-extra-index-url|-find-links|[ief])\b|\s@\s")
_PIN = re.compile(r"^(?P<name>[A-Za-z0-9][\w.-]*)(?:\[[\w,.-]+\])?==(?P<version>[\w.!+-]+)$")
_HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}(?:\s|$)")
_INTEGRITY = re.compile(r"^sha512-[A-Za-z0-9+/]{86}==$")


@dataclass(frozen=True, order=True)
class Pin:
    """One version of one package, and the file that pins it."""

    name: str
    version: str
    file: str


@dataclass(frozen=True)
class Locked:
    """What a file pins.

    Attributes
    ----------
    pins
        All of them, also those for other systems and other versions of Python.
    problems
        What is wrong with the file, a line each.
    """

    pins: tuple[Pin, ...]
    problems: tuple[str, ...]


def read_python_lock(path: Path) -> Locked:
    """Read a lock of pip.

    Parameters
    ----------
    path
        A file of requirements, each with an exact version and hashes.
    """
    pins, problems = [], []
    for line in _joined(path.read_text(encoding="utf-8")):
        where = f"{path.name}: {line[:60]}"
        if _ADDRESS.search(line):
            problems.append(f"{where}: an address in a lock")
            continue
        requirement = line.split(" --hash", 1)[0].partition(";")[0].strip()
        found = _PIN.match(requirement)
        if found is None:
            problems.append(f"{where}: no exact version")
            continue
        pins.append(Pin(_canonical(found["name"]), found["version"], path.name))
        if not _HASH.search(line):
            problems.append(f"{where}: no hash")
    if not pins:
        problems.append(f"{path.name}: nothing is pinned")
    return Locked(tuple(pins), tuple(problems))


def read_npm_lock(path: Path) -> Locked:
    """Read a ``package-lock.json``."""
    text = path.read_text(encoding="utf-8")
    packages: dict[str, dict[str, Any]] = json.loads(text).get("packages", {})
    pins, problems = [], []
    for place, package in packages.items():
        if place == "":
            continue
        name = place.rpartition("node_modules/")[2]
        pins.append(Pin(name, str(package.get("version", "")), path.name))
        if not _INTEGRITY.match(str(package.get("integrity", ""))):
            problems.append(f"{path.name}: {name}: no hash")
        if "resolved" in package:
            problems.append(f"{path.name}: {name}: an address in a lock")
    if not pins:
        problems.append(f"{path.name}: nothing is pinned")
    return Locked(tuple(pins), tuple(problems))


def read_script(path: Path) -> tuple[Pin, ...]:
    """Return what a script installs by exact version, without a lock."""
    found = re.findall(r"\b([a-z][\w.-]*)==([\w.!+-]+)", path.read_text(encoding="utf-8"))
    return tuple(Pin(_canonical(name), version, path.name) for name, version in found)


def rounds(pins: Iterable[Pin]) -> Iterator[dict[str, str]]:
    """Split pins into tables of name and version, since two versions fit into no one table."""
    waiting = {(pin.name, pin.version) for pin in pins}
    while waiting:
        table = dict(sorted(waiting))
        yield table
        waiting -= set(table.items())


def _joined(text: str) -> Iterator[str]:
    for line in text.replace("\\\n", " ").splitlines():
        bare = line.strip()
        if bare and not bare.startswith("#"):
            yield re.sub(r"\s+", " ", bare)


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
