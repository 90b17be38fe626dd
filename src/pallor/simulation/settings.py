"""What determines a simulated clip, together with the numbers of participant and session."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace

import numpy as np

from pallor.errors import UsageError
from pallor.simulation.encoding import CODECS
from pallor.simulation.presets import PRESETS, Preset
from pallor.simulation.sensor import LIGHTS, SENSORS

VERSION = 2
"""Raised whenever the same settings give other clips."""


@dataclass(frozen=True)
class Settings:
    """What, together with a participant's and a session's number, determines a clip.

    Attributes
    ----------
    preset
        Name of a preset, see `presets.PRESETS`.
    seed
        Seed of the cohort.
    duration_s, fps, size
        Length, frame rate, and width = height in pixels of each clip.
    sex_cue
        Whether men look different from women.
    sensors, lights
        Instead of the preset's own.
    codec, quality
        See `encoding.write_clip`.
    """

    preset: str = "easy"
    seed: int = 0
    duration_s: float = 10.0
    fps: float = 30.0
    size: int = 480
    sex_cue: bool = True
    sensors: tuple[str, ...] | None = None
    lights: tuple[str, ...] | None = None
    codec: str = "h264"
    quality: int | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be rendered."""
        _one_of("preset", (self.preset,), tuple(PRESETS))
        _one_of("sensor", self.sensors, SENSORS)
        _one_of("light", self.lights, LIGHTS)
        _one_of("codec", (self.codec,), tuple(CODECS))
        best, worst = CODECS[self.codec].quality_range
        if self.quality is not None and not best <= self.quality <= worst:
            raise UsageError(
                f"quality {self.quality}: {self.codec} takes {best} (best) to {worst} (worst)"
            )
        if self.seed < 0:
            raise UsageError(f"seed {self.seed}: give a whole number, 0 or more")
        if not (np.isfinite(self.duration_s) and np.isfinite(self.fps) and self.fps > 0):
            raise UsageError("duration and frame rate must be finite, the frame rate above 0")
        if self.frames < 1:
            raise UsageError(
                f"duration {self.duration_s:g} s at {self.fps:g} frames/s is not one frame"
            )
        if self.size < 64 or self.size % 2:
            raise UsageError(f"size {self.size}: give an even number of pixels, 64 or more")

    @property
    def frames(self) -> int:
        """Number of frames of a clip."""
        return round(self.duration_s * self.fps)

    @property
    def spread(self) -> Preset:
        """The preset, with the sensors and lights that were asked for."""
        preset = PRESETS[self.preset]
        return replace(
            preset, sensors=self.sensors or preset.sensors, lights=self.lights or preset.lights
        )

    def comment(self, index: int, session: int) -> str:
        """Container comment of a clip; tells simulations apart."""
        whole = {
            "version": VERSION, "index": index, "session": session,
            **asdict(self), "spread": asdict(self.spread),
        }  # fmt: skip
        digest = hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()[:16]
        return f"by pallor, preset {self.preset}, seed {self.seed}, settings {digest}"


def _one_of(what: str, asked: tuple[str, ...] | None, known: tuple[str, ...]) -> None:
    if asked is None:
        return
    unknown = [name for name in asked if name not in known]
    if unknown or not asked:
        raise UsageError(
            f"no {what} {', '.join(map(repr, unknown)) or 'given'}; choose from {', '.join(known)}"
        )
