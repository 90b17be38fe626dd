"""Known vulnerabilities of npm packages, by npm."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from audit.findings import Answer, Finding, NoAnswerError

CANARY = ("lodash", "4.17.15")
"""Vulnerable since 2020; see `audit.python_advisories.CANARY`."""
TIME_LIMIT_S = 180.0


def ask(lock: Path) -> Answer:
    """Ask the registry that npm is set to about a lock.

    Parameters
    ----------
    lock
        A ``package-lock.json``, with its ``package.json`` beside it.
    """
    if shutil.which("npm") is None:
        return Answer(None, silent=("npm is not installed",))
    try:
        with tempfile.TemporaryDirectory() as folder:
            _write_canary(Path(folder))
            if not _run(Path(folder)):
                raise NoAnswerError("it knows nothing of a package that is known to be vulnerable")
        return Answer("the npm registry", tuple(_run(lock.parent)))
    except NoAnswerError as error:
        return Answer(None, silent=(f"the npm registry: {error}",))


def _write_canary(folder: Path) -> None:
    name, version = CANARY
    top = {"name": "canary", "version": "1.0.0", "dependencies": {name: version}}
    packages = {"": top, f"node_modules/{name}": {"version": version}}
    (folder / "package.json").write_text(json.dumps(top))
    lock = {"name": "canary", "lockfileVersion": 3, "requires": True, "packages": packages}
    (folder / "package-lock.json").write_text(json.dumps(lock))


def _run(folder: Path) -> list[Finding]:
    """Return the findings of a folder's lock.

    Raises
    ------
    NoAnswerError
        There is no answer.
    """
    try:
        done = subprocess.run(
            ["npm", "audit", "--json", "--package-lock-only", "--prefix", str(folder)],
            capture_output=True, text=True, check=False, timeout=TIME_LIMIT_S, cwd=folder,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise NoAnswerError(f"no answer within {TIME_LIMIT_S:.0f} s") from None
    try:
        told: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        raise NoAnswerError(done.stderr.strip()[:300] or "no answer") from None
    if "vulnerabilities" not in told:
        raise NoAnswerError(str(told.get("message", "no answer"))[:300])
    locked = json.loads((folder / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    findings = []
    for name, package in told["vulnerabilities"].items():
        # What is only affected through another package is found with that one.
        advisories = [cause for cause in package["via"] if isinstance(cause, dict)]
        versions = [locked[node]["version"] for node in package["nodes"] if node in locked]
        for advisory in advisories:
            ids = (str(advisory["url"]).rpartition("/")[2] or str(advisory["source"]),)
            findings.append(Finding(name, ", ".join(versions), ids))
    return findings
