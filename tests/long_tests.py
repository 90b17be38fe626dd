"""How often the long tests repeat what they do."""

from __future__ import annotations

import os


def rounds(short: int, full: int) -> int:
    """Return the number for ``make test``, or the one for ``make test-long``."""
    return full if os.environ.get("PALLOR_LONG") == "1" else short
