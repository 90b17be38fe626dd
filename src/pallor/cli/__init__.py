"""The command line: parse, call, print. One file a command; its docstring is its manual."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from typing import Annotated

import typer

from pallor.cli import (
    check,
    cohort,
    demo,
    evaluate,
    extract,
    features,
    keys,
    predict,
    serve,
    simulate,
    study,
    train,
    weights,
)
from pallor.cli.output import fail, say

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}

app = typer.Typer(
    name="pallor",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)

COMMANDS: dict[str, Callable[..., None]] = {
    "demo": demo.demo,
    "check": check.check,
    "simulate": simulate.simulate,
    "cohort": cohort.cohort,
    "extract": extract.extract,
    "evaluate": evaluate.evaluate,
    "train": train.train,
    "predict": predict.predict,
    "features": features.features,
    "serve": serve.serve,
}
for _name, _command in COMMANDS.items():
    app.command(_name)(_command)
app.add_typer(weights.app, name="weights")
app.add_typer(keys.app, name="keys")
app.add_typer(study.app, name="study")


def _version(value: bool) -> None:
    if value:
        from pallor._version import __version__

        typer.echo(f"pallor {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Estimate the hemoglobin concentration of the blood from a facial video, and prove what
    the estimate is worth.

    Research use only. Not a medical device.
    """  # noqa: D205


def main() -> None:
    """Run the command line; errors of the user's input end in one line, not a traceback.

    Exit status: 0 done, 1 an input cannot be used, 2 wrong usage, 130 interrupted.
    """
    from pallor.errors import PallorError

    try:
        try:
            app()
        finally:
            # At the exit of the interpreter it would be too late to say that it failed.
            if sys.stdout is not None:
                sys.stdout.flush()
    except PallorError as error:
        fail(error)
    except BrokenPipeError:
        # The reader of a pipe went away (head, less): not an error of ours.
        sys.stderr.close()
        sys.exit(0)
    except OSError as error:
        # A name tells a file of the user's, which whoever opens it reports; streams have none.
        if error.filename is not None or error.errno not in _FULL:
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        say(f"pallor: the output cannot be written: {error.strerror}")
        sys.exit(1)
