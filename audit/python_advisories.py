"""Known vulnerabilities of Python packages, by pip-audit."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from audit.findings import Answer, Finding, NoAnswerError
from audit.locked import Pin, rounds

CANARY = {"jinja2": "2.10"}
"""Vulnerable since 2019. A source that does not say so (a mirror without advisories, a page of a
proxy) is none, and its silence about the rest is worth nothing."""
TIME_LIMIT_S = 600.0


def ask(program: Path, pins: Iterable[Pin], osv_url: str | None = None) -> Answer:
    """Ask the first source that answers about all pins.

    Parameters
    ----------
    program
        Of pip-audit.
    pins
        To be asked about.
    osv_url
        A mirror of OSV to ask instead of PyPI and OSV.
    """
    if not program.is_file():
        return Answer(None, silent=(f"pip-audit is not installed ({program})",))
    sources: dict[str, tuple[str, ...]] = {"PyPI": ("-s", "pypi"), "OSV": ("-s", "osv")}
    if osv_url is not None:
        sources = {"the mirror of OSV": ("-s", "osv", "--osv-url", osv_url)}
    tables = list(rounds(pins))
    silent = []
    for name, options in sources.items():
        try:
            canary, _ = _run(program, options, CANARY)
            if not canary:
                raise NoAnswerError("it knows nothing of a package that is known to be vulnerable")
            answers = [_run(program, options, table) for table in tables]
        except NoAnswerError as error:
            silent.append(f"{name}: {error}")
            continue
        findings = tuple(finding for found, _ in answers for finding in found)
        unknown = tuple(line for _, lines in answers for line in lines)
        return Answer(name, findings, unknown, tuple(silent))
    return Answer(None, silent=tuple(silent))


def _run(
    program: Path, options: tuple[str, ...], table: Mapping[str, str]
) -> tuple[list[Finding], list[str]]:
    """Return the findings, and what could not be asked about.

    Raises
    ------
    NoAnswerError
        There is no answer.
    """
    # Names and versions alone. With the lock itself pip-audit would leave out what the lock has
    # for other systems, and other versions of Python.
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "requirements.txt"
        file.write_text("".join(f"{name}=={version}\n" for name, version in table.items()))
        command = [program, "-r", file, "--no-deps", "--disable-pip", "-f", "json", *options]
        command += ["--progress-spinner", "off", "--timeout", "15"]
        try:
            done = subprocess.run(
                [str(word) for word in command],
                capture_output=True, text=True, check=False, timeout=TIME_LIMIT_S,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise NoAnswerError(f"no answer within {TIME_LIMIT_S:.0f} s") from None
    try:
        told: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError, TypeError):
        raise NoAnswerError(_last_line(done.stderr)) from None
    findings, unknown, answered = [], [], set()
    for package in told:
        answered.add(package["name"])
        if "skip_reason" in package:
            unknown.append(f"{package['name']} {table.get(package['name'], '?')}")
        for one in package.get("vulns", ()):
            ids = (one["id"], *one.get("aliases", ()))
            fixed = tuple(map(str, one.get("fix_versions", ())))
            findings.append(Finding(package["name"], package["version"], ids, fixed))
    unknown += [f"{name} {table[name]}" for name in table if name not in answered]
    return findings, unknown


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1].strip()[:300] if lines else "no answer"
