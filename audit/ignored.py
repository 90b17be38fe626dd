"""Vulnerabilities that were looked at and do no harm here, each for a while."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from audit.findings import Finding

LONGEST = timedelta(days=183)
"""A reason is looked at anew after half a year at the latest."""
_FIELDS = {"id": str, "package": str, "reason": str, "until": date}


@dataclass(frozen=True)
class Ignored:
    """One entry of ``audit/ignored.toml``.

    Attributes
    ----------
    id
        Any name of the vulnerability.
    package
        Of the package that has it.
    reason
        Why it does no harm here.
    until
        Last day on which the entry holds.
    """

    id: str
    package: str
    reason: str
    until: date

    def covers(self, finding: Finding) -> bool:
        """Tell whether this is the vulnerability that was looked at."""
        return self.package == finding.package and self.id in finding.ids


def read_ignored(path: Path, today: date) -> tuple[tuple[Ignored, ...], tuple[str, ...]]:
    """Read the entries that hold, and what is wrong with the others, a line each."""
    entries, problems = [], []
    for number, table in enumerate(tomllib.loads(path.read_text("utf-8")).get("ignored", ()), 1):
        where = f"{path.name}: entry {number} ({table.get('id', 'without id')})"
        wrong = [name for name, kind in _FIELDS.items() if not isinstance(table.get(name), kind)]
        if wrong or set(table) != set(_FIELDS):
            problems.append(f"{where}: give id, package, reason and until (a date), nothing else")
            continue
        entry = Ignored(**table)
        if len(entry.reason.split()) < 3:
            problems.append(f"{where}: say why it does no harm here")
        elif entry.until < today:
            problems.append(f"{where}: it held until {entry.until}; update, or look at it anew")
        elif entry.until > today + LONGEST:
            problems.append(f"{where}: {entry.until} is more than {LONGEST.days} days away")
        else:
            entries.append(entry)
    return tuple(entries), tuple(problems)


def not_ignored(findings: Iterable[Finding], entries: Iterable[Ignored]) -> list[Finding]:
    """Return what no entry covers."""
    held = tuple(entries)
    return [finding for finding in findings if not any(entry.covers(finding) for entry in held)]
