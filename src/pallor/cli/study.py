"""``pallor study``: the cohort that the service collects, without the service."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from pallor.cli.data_folder import need_database
from pallor.cli.output import print_json, progress, say
from pallor.cli.serve import DATA, need_service_extra
from pallor.errors import CohortError, UsageError

if TYPE_CHECKING:
    from pallor.service.study.lines import Missing
    from pallor.service.study.study import Study

app = typer.Typer(
    no_args_is_help=True,
    help="The cohort that the service collects: list it, export it, withdraw a participant.",
)

WHO = "command line"
PAGE = 1000

Data = Annotated[Path, typer.Option(metavar="DIR", help="Data folder of the service.")]
Url = Annotated[
    str | None,
    typer.Option(
        metavar="URL", envvar="PALLOR_DATABASE_URL", help="Of the database, if it is not in DIR."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]


@app.command("list")
def list_participants(
    data: Data = DATA,
    database_url: Url = None,
    missing: Annotated[
        str | None,
        typer.Option(
            metavar="WHAT",
            help="Only those without: hemoglobin (a clip, and the blood value still to come), "
            "clip, consent (that videos are kept).",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """List the participants, and how far the study is. With --json one object a participant."""
    from pallor.service.study.summary import summary

    with _study(data, database_url) as study:
        for line in _lines(study, missing):
            if json:
                print_json(line)
            else:
                typer.echo(_shown(line))
        if not json:
            say(_told(asdict(summary(study))))


@app.command()
def export(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new folder, or an empty one.")],
    data: Data = DATA,
    database_url: Url = None,
    json: Json = False,
) -> None:
    """Write the study into a folder that pallor extract reads.

    The clips are copied. Beside them are cohort.csv, hemoglobin_values.csv and README.txt, which
    tells the columns and who is missing. Keep it as safe as the study itself. Until it is complete
    it stands in DIR.part; what breaks off leaves nothing. Ends with status 1 where clips could not
    be read.
    """
    from pallor.service.export.folder import new_folder, write_folder
    from pallor.service.export.study_export import export_of

    try:
        with _study(data, database_url) as study, new_folder(folder) as part:
            contents = export_of(study)
            study.audit.add(WHO, "study.export", f"{len(contents.files)} clips")
            with progress("clips") as report:
                tally = write_folder(contents, part, report)
    except KeyboardInterrupt:
        say("interrupted: nothing was exported")
        raise
    if tally.simulated:
        say(
            f"SIMULATED: {tally.simulated} of {tally.clips} clips were rendered; no figure from "
            "those says anything about people."
        )
    counts = tally.counts()
    if json:
        print_json({"folder": str(folder), "simulated": tally.simulated > 0, **counts})
    else:
        _tell_export(folder, counts)
    if tally.clips_gone:
        raise typer.Exit(1)


@app.command()
def withdraw(
    code: Annotated[str, typer.Argument(help="Of the participant.")],
    data: Data = DATA,
    database_url: Url = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    json: Json = False,
) -> None:
    """Withdraw a participant: delete everything of the person, for good.

    Copies that were exported before are not reached: delete those yourself.
    """
    from pallor.service.refusals import UnknownError
    from pallor.service.study import participants

    with _study(data, database_url) as study:
        try:
            found = participants.get(study, code, WHO)
        except UnknownError:
            raise CohortError(
                f"{code}: the study has no such participant; pallor study list shows them"
            ) from None
        if not yes:
            clips = sum(len(session.clips) for session in found.sessions)
            question = (
                f"Delete participant {found.code} with {len(found.sessions)} sessions and "
                f"{clips} clips for good?"
            )
            # To stderr: with --json stdout holds the object alone.
            typer.confirm(question, abort=True, err=True)
        deleted = participants.withdraw(study, code, WHO)
    if json:
        print_json({"code": found.code, **asdict(deleted)})
        return
    typer.echo(
        f"{found.code}: deleted with {deleted.sessions} sessions, {deleted.hemoglobin_values} "
        f"blood values and {deleted.clips} clips ({deleted.files} files)"
    )


@contextmanager
def _study(data: Path, url: str | None) -> Iterator[Study]:
    """Open the study of a data folder; one that is not there is not made."""
    need_service_extra()
    from pallor.service.settings import ServiceSettings
    from pallor.service.store.engine import open_store
    from pallor.service.study.study import Study

    settings = ServiceSettings(data=data, database_url=url)
    need_database(settings, "study")
    store = open_store(settings)
    try:
        yield Study.open(settings, store)
    finally:
        store.close()


def _tell_export(folder: Path, counts: Mapping[str, int]) -> None:
    typer.echo(
        f"{counts['participants']} participants = {counts['exported']} exported "
        f"+ {counts['without_clip']} without a clip "
        f"+ {counts['without_consent']} without consent to keep videos "
        f"+ {counts['gone']} whose clips could not be read"
    )
    typer.echo(f"{counts['clips']} clips exported, {counts['clips_gone']} could not be read")
    typer.echo(f"next: pallor extract {folder / 'cohort.csv'} -o {folder}-features")


def _lines(study: Study, missing: str | None) -> Iterator[dict[str, Any]]:
    from pallor.service.study.participants import listing

    choices = ("hemoglobin", "clip", "consent")
    if missing is not None and missing not in choices:
        raise UsageError(f"--missing is one of: {', '.join(choices)}")
    offset = 0
    while True:
        lines, _ = listing(study, WHO, missing=cast("Missing", missing), limit=PAGE, offset=offset)
        yield from map(asdict, lines)
        offset += PAGE
        if len(lines) < PAGE:
            return


def _shown(line: Mapping[str, Any]) -> str:
    age = "" if line["age_years"] is None else f"{line['age_years']:g} years"
    waiting = line["sessions_without_hemoglobin"]
    notes = [
        *([f"{waiting} blood values to come"] if waiting else []),
        *([] if line["keeps_video"] else ["no consent to keep videos"]),
    ]
    return (
        f"{line['code']:<16} {line['sex'] or '':<7} {age:<10} {line['sessions']:>3} sessions "
        f"{line['clips']:>3} clips ({line['usable_clips']} usable) "
        f"{line['hemoglobin_values']:>3} values  {', '.join(notes)}"
    ).rstrip()


def _told(summary: Mapping[str, int]) -> str:
    return (
        f"{summary['participants']} participants ({summary['participants_without_clip']} without "
        f"a clip), {summary['sessions']} sessions ({summary['sessions_without_hemoglobin']} whose "
        f"blood value is to come), {summary['clips']} clips ({summary['usable_clips']} usable, "
        f"{summary['simulated_clips']} simulated)"
    )
