"""What commands print: JSON lines to stdout, everything else to stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

from pallor.errors import PallorError, UsageError

if TYPE_CHECKING:
    from rich.console import Console

NOTICE = "Research use only. Not a medical device."
SIMULATED = "SIMULATED: these clips were rendered; no figure here says anything about people."


def print_json(value: object) -> None:
    """Print one JSON object on one line of stdout; what is not finite becomes null."""
    from pallor.evaluation.result import without_nan

    sys.stdout.write(json.dumps(without_nan(value), ensure_ascii=False) + "\n")
    sys.stdout.flush()


def say(text: str) -> None:
    """Print a line to stderr, as it is."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def fail(error: PallorError) -> NoReturn:
    """Print an error as one line and leave with status 1, or 2 for wrong usage."""
    say(f"pallor: {error.text}")
    sys.exit(2 if isinstance(error, UsageError) else 1)


def console(*, stderr: bool = False) -> Console:
    """Return the console on stdout for results, or on stderr for progress."""
    from rich.console import Console

    # Into a file or a pipe tables are written wide enough not to break their cells.
    width = None if (sys.stderr if stderr else sys.stdout).isatty() else 140
    return Console(stderr=stderr, highlight=False, width=width)


def comma_list(value: str | None) -> list[str] | None:
    """Split ``a,b`` into its parts; None stays None."""
    if value is None:
        return None
    parts = [part.strip() for part in value.split(",") if part.strip()]
    if not parts:
        raise UsageError("an empty list was given; name at least one, separated by commas")
    return parts


def score_cell(score: Mapping[str, float | None] | None) -> str:
    """Return a score with its interval as it stands in a table; a dash where there is none."""
    if score is None or score["value"] is None:
        return "-"
    if score["low"] is None or score["high"] is None:
        return f"{score['value']:.2f}"
    return f"{score['value']:.2f} [{score['low']:.2f}, {score['high']:.2f}]"


def command_line() -> str:
    """Return the command as the user typed it, to be kept with its results."""
    import shlex

    return shlex.join(["pallor", *sys.argv[1:]])


Report = Callable[[int, int, str], None]


@contextmanager
def progress(label: str, *, quiet: bool = False) -> Iterator[Report]:
    """Show a progress bar with time left on stderr.

    Yields
    ------
    report
        To be called with ``(done, total, what)``. Where stderr is not a terminal, a line is
        printed for about every tenth of the work instead.
    """
    if quiet:
        yield lambda _done, _total, _what: None
        return
    if not sys.stderr.isatty():
        yield _lines(label)
        return
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[what]}", style="dim"),
    )
    with Progress(*columns, console=console(stderr=True), transient=False) as bar:
        task = bar.add_task(label, total=None, what="")

        def report(done: int, total: int, what: str) -> None:
            bar.update(task, completed=done, total=total, what=what[-50:])

        yield report


def _lines(label: str) -> Report:
    shown = -1

    def report(done: int, total: int, what: str) -> None:
        nonlocal shown
        tenth = 10 * done // max(total, 1)
        if tenth != shown:
            shown = tenth
            say(f"{label}: {done} of {total}" + (f" ({what})" if what else ""))

    return report
