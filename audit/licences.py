"""Licences of what users install, as the installed distributions state them."""

from __future__ import annotations

import importlib.metadata as metadata
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import cast

from packaging.requirements import Requirement

SEVERAL = " AND "
_LONGEST_NAME = 60
_SAY_NOTHING = frozenset({"", "UNKNOWN", "OSI Approved", "Dual License"})


@dataclass(frozen=True)
class Rules:
    """``audit/licences.toml``.

    Attributes
    ----------
    allowed
        SPDX names of licences that ask for no more than naming the authors.
    names
        SPDX names by what distributions call them that state none.
    accepted
        By distribution: a licence that is not allowed in general, as stated, and the reason.
    """

    allowed: frozenset[str]
    names: Mapping[str, str]
    accepted: Mapping[str, tuple[str, str]]


def read_rules(path: Path) -> Rules:
    """Read the rules.

    Raises
    ------
    ValueError
        An accepted licence has no reason.
    """
    table = tomllib.loads(path.read_text("utf-8"))
    accepted = {}
    for entry in table.get("accepted", ()):
        if len(str(entry.get("reason", "")).split()) < 3:
            raise ValueError(f"{path.name}: {entry.get('package')}: say why it is accepted")
        accepted[entry["package"]] = (entry["licence"], entry["reason"])
    return Rules(frozenset(table["allowed"]), table["names"], accepted)


def distributions_of(requirements: Iterable[str]) -> dict[str, metadata.Distribution]:
    """Return what is installed of some requirements and of all that they ask for, by name."""
    found: dict[str, metadata.Distribution] = {}
    seen = set()
    waiting = [Requirement(text) for text in requirements]
    while waiting:
        requirement = waiting.pop()
        key = (_canonical(requirement.name), frozenset(requirement.extras))
        if key in seen:
            continue
        seen.add(key)
        try:
            distribution = metadata.distribution(requirement.name)
        except metadata.PackageNotFoundError:
            # For another system, or an extra that is not installed here.
            continue
        found[key[0]] = distribution
        for text in distribution.requires or ():
            wanted = Requirement(text)
            extras = requirement.extras or {""}
            if wanted.marker is None or any(
                wanted.marker.evaluate({"extra": extra}) for extra in extras
            ):
                waiting.append(wanted)
    return found


def stated_licence(about: Message, names: Mapping[str, str]) -> str:
    """Return the licence as an SPDX expression, or in the distribution's own words.

    Parameters
    ----------
    about
        Of a distribution.
    names
        See `Rules`.

    Returns
    -------
    str
        Where several are stated and none says how they go together, all are joined by AND.
    """
    expression = about.get("License-Expression")
    if expression:
        return str(expression)
    text = str(about.get("License") or "").strip()
    words = [] if "\n" in text or len(text) > _LONGEST_NAME else [text]
    classifiers = [name for name in about.get_all("Classifier") or () if name.startswith("License")]
    words += [name.rpartition(" :: ")[2] for name in classifiers]
    return SEVERAL.join(
        dict.fromkeys(names.get(word, word) for word in words if word not in _SAY_NOTHING)
    )


def is_allowed(expression: str, allowed: frozenset[str]) -> bool:
    """Tell whether an SPDX expression leaves a choice that is allowed altogether."""
    tokens = re.findall(r"\(|\)|[^\s()]+(?:\s+WITH\s+[^\s()]+)?", expression)
    value, rest = _either(tokens, allowed)
    return value and not rest


def problems_of(installed: Mapping[str, metadata.Distribution], rules: Rules) -> list[str]:
    """Return what is not allowed, a line each."""
    problems = []
    for name, distribution in sorted(installed.items()):
        stated = stated_licence(cast(Message, distribution.metadata), rules.names)
        accepted, _ = rules.accepted.get(name, (None, ""))
        if stated == accepted or (stated and is_allowed(stated, rules.allowed)):
            continue
        was = f", accepted as {accepted!r}" if accepted is not None else ""
        problems.append(f"{name} {distribution.version}: {stated or 'states no licence'}{was}")
    return problems


def _either(tokens: list[str], allowed: frozenset[str]) -> tuple[bool, list[str]]:
    value, rest = _all(tokens, allowed)
    while rest[:1] == ["OR"]:
        other, rest = _all(rest[1:], allowed)
        value = value or other
    return value, rest


def _all(tokens: list[str], allowed: frozenset[str]) -> tuple[bool, list[str]]:
    value, rest = _one(tokens, allowed)
    while rest[:1] == ["AND"]:
        other, rest = _one(rest[1:], allowed)
        value = value and other
    return value, rest


def _one(tokens: list[str], allowed: frozenset[str]) -> tuple[bool, list[str]]:
    if tokens[:1] == ["("]:
        value, rest = _either(tokens[1:], allowed)
        return value and rest[:1] == [")"], rest[1:]
    return bool(tokens) and tokens[0] in allowed, tokens[1:]


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
