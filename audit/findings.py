"""What a source of advisories says of the pins."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """A known vulnerability of a pinned version.

    Attributes
    ----------
    package, version
        What is pinned.
    ids
        All names of the vulnerability: PYSEC, CVE, GHSA.
    fixed_in
        Versions without it; empty where there are none, or none is told.
    """

    package: str
    version: str
    ids: tuple[str, ...]
    fixed_in: tuple[str, ...] = ()

    def __str__(self) -> str:
        fixed = f"; fixed in {', '.join(self.fixed_in)}" if self.fixed_in else ""
        return f"{self.package} {self.version}: {', '.join(self.ids)}{fixed}"


@dataclass(frozen=True)
class Answer:
    """What came of asking.

    Attributes
    ----------
    source
        Who answered; None where nobody did, and nothing is known then.
    findings
        Vulnerabilities.
    unknown
        Packages that the source did not know, a line each: nothing is known of those.
    silent
        Why the sources that were asked gave no answer.
    """

    source: str | None
    findings: tuple[Finding, ...] = ()
    unknown: tuple[str, ...] = ()
    silent: tuple[str, ...] = ()


class NoAnswerError(Exception):
    """A source cannot be reached, or is none: the text says which and why."""
