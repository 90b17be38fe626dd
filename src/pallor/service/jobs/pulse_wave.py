"""The pulse wave of a recording, for drawing."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pallor.video.recording import Recording

MAX_POINTS = 600
LONGEST_S = 30.0
"""More beats than this nobody can tell apart in one drawing; 20 points a second show each."""


def pulse_wave(recording: Recording) -> dict[str, list[float]] | None:
    """Return the pulse, detrended and band-passed, in units of its standard deviation.

    Parameters
    ----------
    recording
        Of a face video.

    Returns
    -------
    dict | None
        ``time_s`` on the clip's clock and ``pulse`` (systole is up), equally long, at most
        `MAX_POINTS`, from the middle of the clip. None where there is no pulse: noise drawn as
        a wave would look like one.
    """
    import numpy as np

    from pallor.features.heart_rate import pulse_from_traces
    from pallor.features.spectrum import prepare

    signal = pulse_from_traces(recording.traces)
    if not signal.present:
        return None
    pulse, time_s = prepare(signal.pulse, signal.fps), signal.time_s
    spread = float(np.std(pulse))
    if not np.isfinite(spread) or spread == 0.0:
        return None
    middle = 0.5 * (time_s[0] + time_s[-1])
    shown = np.abs(time_s - middle) <= LONGEST_S / 2
    time_s, pulse = time_s[shown], pulse[shown] / spread
    if len(time_s) > MAX_POINTS:
        # The band ends at 4.5 Hz, far below half of 20 points a second: a line through the
        # neighbours is enough.
        fewer = np.linspace(time_s[0], time_s[-1], MAX_POINTS)
        time_s, pulse = fewer, np.interp(fewer, time_s, pulse)
    return {
        "time_s": [round(float(value), 4) for value in time_s],
        "pulse": [round(float(value), 4) for value in pulse],
    }
