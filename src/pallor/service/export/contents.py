"""What an export holds, whatever it is written to."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ExportFile:
    """One file that is copied as it is.

    Attributes
    ----------
    name
        In the export, with ``/``.
    path
        Where it lies.
    """

    name: str
    path: Path


@dataclass(frozen=True)
class Tally:
    """Who is in an export, and who is not; everybody is counted once.

    Attributes
    ----------
    exported
        Codes of those with at least one clip in it.
    without_clip
        Codes of those who have none yet.
    without_consent
        Codes of those who have none, since they have not agreed that videos are kept.
    gone
        Codes of those whose clips could not be read any more.
    clips, clips_gone
        How many are in it, and how many could not be read any more.
    simulated
        How many of those in it are no recordings of people.
    """

    exported: tuple[str, ...] = ()
    without_clip: tuple[str, ...] = ()
    without_consent: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    clips: int = 0
    clips_gone: int = 0
    simulated: int = 0

    def counts(self) -> dict[str, int]:
        """Return how many of each: ``participants`` is the sum of the four that follow it."""
        people = {
            "exported": len(self.exported),
            "without_clip": len(self.without_clip),
            "without_consent": len(self.without_consent),
            "gone": len(self.gone),
        }
        clips = {
            "clips": self.clips,
            "clips_gone": self.clips_gone,
            "simulated_clips": self.simulated,
        }
        return {"participants": sum(people.values()), **people, **clips}


@dataclass(frozen=True)
class ExportEnd:
    """What goes behind the clips.

    Attributes
    ----------
    texts
        Content by name.
    tally
        Who is in it.
    """

    texts: Mapping[str, bytes]
    tally: Tally


@dataclass(frozen=True)
class ExportContents:
    """What an export holds.

    Attributes
    ----------
    files
        In the order in which they are written. One that is gone by then is left out.
    end
        Tells, once the files are written, what goes behind them, from the names of those that
        were.
    """

    files: tuple[ExportFile, ...]
    end: Callable[[Collection[str]], ExportEnd]
