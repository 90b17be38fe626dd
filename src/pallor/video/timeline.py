"""Times of frames from the time stamps of a stream, which may be missing or wrong."""

from __future__ import annotations

from fractions import Fraction

CLOCK_RESTART_S = 1.0
"""A time stamp that lies this far back is a clock that was set anew, not a glitch."""


class Timeline:
    """Turns presentation time stamps into strictly increasing seconds from the first frame.

    - A time stamp is taken as it is: a varying frame rate stays varying.
    - A frame without one follows its predecessor by the mean interval so far (before there is
      one, by that of the stream's average rate).
    - A frame whose time stamp is not later than its predecessor's, by less than
      ``CLOCK_RESTART_S``, has no place in time and is left out: moving it would invent a
      time that nobody measured.
    - A time stamp further back is a clock that started again, as where recordings were joined:
      the frame follows by the mean interval and what comes after keeps its own distances.

    Parameters
    ----------
    rate
        Average frame rate of the stream in 1/s, None where unknown (then 30 is assumed for
        the second frame if it has no time stamp).
    """

    def __init__(self, rate: float | None) -> None:
        self._interval_s = 1.0 / rate if rate else 1.0 / 30.0
        self._offset_s: float | None = None
        self.last_s = 0.0
        self._placed = 0
        self.left_out = 0

    @property
    def interval_s(self) -> float:
        """Mean interval between the frames so far, in seconds."""
        return self.last_s / (self._placed - 1) if self._placed > 1 else self._interval_s

    @property
    def end_s(self) -> float:
        """Time of the last frame plus one interval; 0 before the first frame."""
        return self.last_s + self.interval_s if self._placed else 0.0

    def place(self, pts: int | None, time_base: Fraction | None) -> float | None:
        """Return the time of the next frame in seconds, None if it is to be left out.

        Parameters
        ----------
        pts
            Presentation time stamp in units of ``time_base``, None where missing.
        time_base
            Seconds; None where missing.
        """
        stamp = None if pts is None or not time_base else float(pts * time_base)
        time_s = self.end_s
        if stamp is not None:
            if self._offset_s is None or self.last_s - (stamp + self._offset_s) > CLOCK_RESTART_S:
                self._offset_s = time_s - stamp
            else:
                time_s = stamp + self._offset_s
                if time_s <= self.last_s:
                    self.left_out += 1
                    return None
        self.last_s = time_s
        self._placed += 1
        return time_s
