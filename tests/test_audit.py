"""The audit of dependencies: the tool as CI runs it, against a source of advisories on loopback."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from email.message import Message
from pathlib import Path

import pytest

from advisory_source import Vulnerable, advisory_source

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from audit.ignored import read_ignored  # noqa: E402
from audit.licences import is_allowed, read_rules, stated_licence  # noqa: E402
from audit.locked import Pin, read_npm_lock, read_python_lock, rounds  # noqa: E402

TODAY = datetime.now(UTC).date()
HASH = "--hash=sha256:" + "0" * 64
CANARIES: Vulnerable = {("jinja2", "2.10"): "PYSEC-CANARY", ("lodash", "4.17.15"): "GHSA-CANARY"}
RULES = read_rules(ROOT / "audit" / "licences.toml")


def pip_audit() -> Path:
    program = ROOT / ".venv-audit" / "bin" / "pip-audit"
    if not program.is_file():
        pytest.skip("pip-audit is absent: bash audit/install.sh .venv-audit")
    return program


def audit(url: str, *options: object, required: bool = False, program: Path | None = None):
    if shutil.which("npm") is None:
        pytest.skip("npm is absent")
    environment = {
        **os.environ,
        "PALLOR_AUDIT": "required" if required else "",
        "npm_config_registry": url,
        "npm_config_fetch_retries": "0",
        "npm_config_logs_max": "0",
    }
    command = [sys.executable, "-m", "audit", "--osv-url", url, *map(str, options)]
    command += ["--pip-audit", str(program or pip_audit())]
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=300
    )


@pytest.mark.slow
def test_every_locked_version_is_asked_about_and_nothing_is_found() -> None:
    with advisory_source(CANARIES) as (url, asked):
        run = audit(url, required=True)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "WARNING" not in run.stdout
    locks = [*ROOT.glob("locks/*.txt")]
    names = {path.stem for path in locks}
    assert {"runtime", "test", "fast", "backbone", "face-model", "reference", "audit"} <= names
    pins = {f"{p.name} {p.version}" for path in locks for p in read_python_lock(path).pins}
    assert pins <= set(asked)
    # Also what is for other systems, and what a script installs without a lock.
    assert {"colorama 0.4.6", "torch 2.13.0"} <= set(asked)
    assert any(line.startswith("axe-core ") for line in asked)


@pytest.mark.slow
def test_a_known_vulnerability_fails_until_it_is_ignored_with_a_reason(tmp_path: Path) -> None:
    axe = read_npm_lock(ROOT / "tests" / "browser" / "package-lock.json").pins[0]
    colorama = ("colorama", "0.4.6")
    vulnerable = {**CANARIES, colorama: "PYSEC-1", (axe.name, axe.version): "GHSA-2"}
    ignored = tmp_path / "ignored.toml"
    until = TODAY + timedelta(days=30)
    rest = f'reason = "Nothing here calls it."\nuntil = {until}\n'
    both = (
        f'[[ignored]]\nid = "ALIAS-PYSEC-1"\npackage = "colorama"\n{rest}'
        f'[[ignored]]\nid = "GHSA-2"\npackage = "axe-core"\n{rest}'
    )
    with advisory_source(vulnerable) as (url, _):
        run = audit(url)
        assert run.returncode == 1
        assert "colorama 0.4.6: PYSEC-1, ALIAS-PYSEC-1" in run.stdout
        assert f"axe-core {axe.version}: GHSA-2" in run.stdout
        ignored.write_text(both)
        run = audit(url, "--ignored", ignored)
        assert run.returncode == 0, run.stdout
        assert "(1 ignored)" in run.stdout
        ignored.write_text(both.replace(str(until), str(TODAY - timedelta(days=1)), 1))
        run = audit(url, "--ignored", ignored)
        assert run.returncode == 1
        assert "it held until" in run.stdout
        assert "colorama 0.4.6: PYSEC-1" in run.stdout


@pytest.mark.slow
@pytest.mark.parametrize("source", ["unreachable", "without advisories", "without pip-audit"])
def test_where_nobody_answers_it_says_so_and_fails_where_an_audit_is_required(
    source: str, tmp_path: Path
) -> None:
    program = tmp_path / "absent" if source == "without pip-audit" else pip_audit()
    vulnerable = {} if source == "without advisories" else CANARIES
    with advisory_source(vulnerable) as (answers, _):
        url = "http://127.0.0.1:9/" if source == "unreachable" else answers
        run = audit(url, program=program)
        assert run.returncode == 0, run.stdout + run.stderr
        assert f"WARNING {TODAY}: Python PACKAGES WERE NOT AUDITED" in run.stdout
        if source == "without pip-audit":
            assert "ok      vulnerabilities of 1 npm packages" in run.stdout
        else:
            assert f"WARNING {TODAY}: npm PACKAGES WERE NOT AUDITED" in run.stdout
            assert "ok      vulnerabilities" not in run.stdout
        run = audit(url, required=True, program=program)
        assert run.returncode == 1
        assert "FAILED  PALLOR_AUDIT=required" in run.stdout


@pytest.mark.slow
def test_a_source_that_breaks_off_is_none() -> None:
    with advisory_source(CANARIES, breaks_after=20) as (url, asked):
        run = audit(url)
    assert len(asked) == 20
    assert run.returncode == 0
    assert f"WARNING {TODAY}: Python PACKAGES WERE NOT AUDITED" in run.stdout
    assert "ok      vulnerabilities" not in run.stdout


# What pip-audit says where PyPI does not know a version: nothing found, and the version skipped.
SKIPS = """#!{python}
import json, sys
lines = open(sys.argv[sys.argv.index("-r") + 1]).read().split()
told = []
for name, version in (line.split("==") for line in lines):
    found = [{{"id": "PYSEC-CANARY", "fix_versions": []}}] if version == "2.10" else []
    told.append({{"name": name, "version": version, "vulns": found}})
    if name == "colorama":
        told[-1] = {{"name": name, "skip_reason": "not found"}}
print(json.dumps({{"dependencies": told}}))
"""


def test_a_version_that_the_source_does_not_know_is_not_audited(tmp_path: Path) -> None:
    program = tmp_path / "pip-audit"
    program.write_text(SKIPS.format(python=sys.executable))
    program.chmod(0o700)
    with advisory_source(CANARIES) as (url, _):
        run = audit(url, program=program)
        assert run.returncode == 0, run.stdout + run.stderr
        assert f"WARNING {TODAY}: NOT AUDITED, since" in run.stdout
        assert run.stdout.count("NOT AUDITED") == 1
        assert "know it: colorama 0.4.6" in run.stdout
        assert audit(url, program=program, required=True).returncode == 1


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a==1", "no hash"),
        (f"a>=1 {HASH}", "no exact version"),
        (f"a==1.* {HASH}", "no exact version"),
        ("-e .", "an address"),
        (f"--index-url https://packages.example/simple\na==1 {HASH}", "an address"),
        (f"--extra-index-url=packages\na==1 {HASH}", "an address"),
        (f"a @ https://packages.example/a.whl {HASH}", "an address"),
        ("# nothing", "nothing is pinned"),
        ("a==1 --hash=md5:00", "no hash"),
    ],
)
def test_a_lock_without_hash_or_with_an_address_is_refused(
    text: str, problem: str, tmp_path: Path
) -> None:
    lock = tmp_path / "lock.txt"
    lock.write_text(text + "\n")
    assert problem in " ".join(read_python_lock(lock).problems)


def test_a_lock_gives_all_versions_of_a_package(tmp_path: Path) -> None:
    lock = tmp_path / "lock.txt"
    old, new = "python_full_version < '3.12'", "python_full_version >= '3.12'"
    lock.write_text(
        f"Some_Name==1.0 ; {old} \\\n    {HASH}\nsome-name==2.0 ; {new} \\\n    {HASH}\n"
        f"psycopg[binary]==3.1 {HASH}\n"
    )
    read = read_python_lock(lock)
    assert read.problems == ()
    assert read.pins == (
        Pin("some-name", "1.0", "lock.txt"),
        Pin("some-name", "2.0", "lock.txt"),
        Pin("psycopg", "3.1", "lock.txt"),
    )
    tables = list(rounds(read.pins))
    assert sorted(table["some-name"] for table in tables) == ["1.0", "2.0"]


@pytest.mark.parametrize(
    ("change", "problem"),
    [({"resolved": "https://packages.example/a.tgz"}, "an address"), ({"integrity": ""}, "hash")],
)
def test_a_lock_of_npm_is_held_to_the_same(change: dict, problem: str, tmp_path: Path) -> None:
    text = (ROOT / "tests" / "browser" / "package-lock.json").read_text()
    lock = tmp_path / "package-lock.json"
    lock.write_text(text)
    assert read_npm_lock(lock).problems == ()
    table = json.loads(text)
    table["packages"]["node_modules/axe-core"].update(change)
    lock.write_text(json.dumps(table))
    assert problem in " ".join(read_npm_lock(lock).problems)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (("Nothing here calls it.", "no"), "say why"),
        (("UNTIL", str(TODAY - timedelta(days=1))), "it held until"),
        (("UNTIL", str(TODAY + timedelta(days=400))), "days away"),
        (("UNTIL", '"soon"'), "give id, package"),
        (('id = "CVE-1"\n', ""), "give id, package"),
        (("until", "unti"), "give id, package"),
    ],
)
def test_an_ignored_vulnerability_has_a_reason_and_an_end(
    change: tuple[str, str], problem: str, tmp_path: Path
) -> None:
    good = (
        '[[ignored]]\nid = "CVE-1"\npackage = "a"\nreason = "Nothing here calls it."\nuntil = UNTIL'
    )
    path = tmp_path / "ignored.toml"
    path.write_text(good.replace("UNTIL", str(TODAY)))
    entries, problems = read_ignored(path, TODAY)
    assert (len(entries), problems) == (1, ())
    path.write_text(good.replace(*change).replace("UNTIL", str(TODAY)))
    entries, problems = read_ignored(path, TODAY)
    assert entries == ()
    assert problem in problems[0]


@pytest.mark.parametrize(
    ("expression", "allowed"),
    [
        ("MIT", True),
        ("GPL-3.0-only", False),
        ("MIT AND GPL-3.0-only", False),
        ("MIT OR GPL-3.0-only", True),
        ("(MIT OR GPL-2.0-only) AND BSD-3-Clause", True),
        ("(MIT AND GPL-2.0-only) OR LGPL-3.0-only", False),
        ("GPL-3.0-or-later WITH GCC-exception-3.1", False),
        ("MIT MIT", False),
        ("(MIT", False),
        ("some words", False),
        ("", False),
    ],
)
def test_expressions_of_licences(expression: str, allowed: bool) -> None:
    assert is_allowed(expression, RULES.allowed) is allowed


@pytest.mark.parametrize(
    ("fields", "stated"),
    [
        ([("License-Expression", "MIT"), ("License", "GPL")], "MIT"),
        ([("License", "MIT License")], "MIT"),
        ([("License", "Dual License"), ("Classifier", "License :: OSI Approved :: BSD License"),
          ("Classifier", "License :: OSI Approved :: Apache Software License")],
         "BSD AND Apache-2.0"),
        ([("License", "MIT"), ("Classifier", "License :: OSI Approved :: GNU General Public "
           "License v3 (GPLv3)")], "MIT AND GNU General Public License v3 (GPLv3)"),
        ([("License", "GPLv3"), ("Classifier", "License :: OSI Approved :: MIT License")],
         "GPLv3 AND MIT"),
        ([("License", "UNKNOWN")], ""),
        ([], ""),
        ([("License", "Whoever\nlikes it"), ("Classifier", "License :: OSI Approved")], ""),
    ],
)  # fmt: skip
def test_what_a_distribution_states(fields: list[tuple[str, str]], stated: str) -> None:
    about = Message()
    for name, value in fields:
        about[name] = value
    assert stated_licence(about, RULES.names) == stated
