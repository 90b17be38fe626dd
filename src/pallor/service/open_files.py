"""How many files, and so connections, the server may have open."""

from __future__ import annotations

import contextlib
import sys

OPEN_FILES = 10_240
"""Asked for: more than what is needed, for bursts of connections; macOS grants no more."""


def raise_open_files() -> int | None:
    """Raise the limit of open files of this process, as far as its user may.

    The usual 1024 are for programs that wait with ``select``, which this one does not. Workers
    lower it for themselves.

    Returns
    -------
    limit
        None where there is none.
    """
    if sys.platform == "win32":
        return None
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return None
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if wanted > soft:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
