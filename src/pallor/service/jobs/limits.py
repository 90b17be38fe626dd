"""What the operating system is asked to hold a worker to."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import stat
import sys
from collections.abc import Iterator
from dataclasses import dataclass

_PR_SET_PDEATHSIG = 1
SPARE_CPU_S = 30
SPARE_MEMORY_BYTES = 64 * 2**20
OPEN_FILES = 256
"""A worker has some twenty open: the clip, the database, pipes."""
FILE_BYTES = 2**30
"""By how much a file may grow during a job. Nothing but the database writes, and that little."""


@contextlib.contextmanager
def deaf() -> Iterator[None]:
    """Let a process that is started inside hear no Ctrl-C and no SIGTERM, from its first moment.

    They go to all processes of the service at once, from a terminal or from systemd. Only the
    server heeds them, and then ends the others.
    """
    if sys.platform == "win32":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def settle() -> None:
    """Prepare the process: it steps back behind the server, and leaves no dump of its memory.

    A core dump would hold a face. Ctrl-C and SIGTERM are the server's to heed: see `deaf`.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if sys.platform == "win32":
        return
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    limit_open_files()
    with contextlib.suppress(OSError):
        os.nice(5)


def limit_open_files() -> None:
    """Hold the process to `OPEN_FILES`, for good: the server, which starts it, needs many more."""
    if sys.platform == "win32":
        return
    import resource

    limit = _lower(OPEN_FILES, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))


def die_with_parent() -> None:
    """Ask Linux to kill this process when the thread that started it ends.

    The pipe to the parent does the same everywhere, but only while Python gets to run: not
    where a decoder hangs.
    """
    if sys.platform != "linux":
        return
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)


@dataclass(frozen=True)
class MemoryLimit:
    """What a job was held to.

    Attributes
    ----------
    limit_bytes
        Largest address space of the process; None where there was no limit.
    spare_bytes
        A peak that came this close to it has met it: what failed was larger than the rest.
    """

    limit_bytes: int | None
    spare_bytes: int = 0

    def was_met(self) -> bool:
        """Tell whether the process came so close to the limit that something was refused.

        Not every library says so: to a decoder that gets no thread a clip has no frames.
        """
        peak = _peak_address_space()
        if self.limit_bytes is None or peak is None:
            return False
        return peak > self.limit_bytes - self.spare_bytes


@contextlib.contextmanager
def limited(memory_bytes: int, time_s: float) -> Iterator[MemoryLimit]:
    """Hold what is done inside to memory, processor time and the size of files.

    A file may become `FILE_BYTES` larger than the largest one that is open at the beginning, such
    as the database or a log: what a job says of its progress must get through. More is an OSError.

    Parameters
    ----------
    memory_bytes
        Address space beyond what the process holds now; more is a MemoryError, or the end of
        the process where a library does not ask.
    time_s
        Wall-clock seconds. Wall-clock time is the supervisor's to enforce; here the processors'
        time is bounded by what that allows, in case there is no supervisor any more.
    """
    if sys.platform == "win32":
        yield MemoryLimit(None)
        return
    import resource

    memory, cpu = resource.getrlimit(resource.RLIMIT_AS), resource.getrlimit(resource.RLIMIT_CPU)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    cores = os.cpu_count() or 1
    seconds = int(usage.ru_utime + usage.ru_stime + time_s * cores) + SPARE_CPU_S
    held = _address_space()
    limit = MemoryLimit(None)
    if held is not None:
        limit = MemoryLimit(
            _lower(held + memory_bytes, memory[1]), min(memory_bytes // 2, SPARE_MEMORY_BYTES)
        )
        resource.setrlimit(resource.RLIMIT_AS, (limit.limit_bytes or -1, memory[1]))
    resource.setrlimit(resource.RLIMIT_CPU, (_lower(seconds, cpu[1]), cpu[1]))
    files, largest = resource.getrlimit(resource.RLIMIT_FSIZE), _largest_open_file()
    if largest is not None:
        resource.setrlimit(
            resource.RLIMIT_FSIZE, (_lower(largest + FILE_BYTES, files[1]), files[1])
        )
    try:
        yield limit
    finally:
        resource.setrlimit(resource.RLIMIT_AS, memory)
        resource.setrlimit(resource.RLIMIT_CPU, cpu)
        resource.setrlimit(resource.RLIMIT_FSIZE, files)


def _lower(wanted: int, hard: int) -> int:
    # RLIM_INFINITY is -1.
    return wanted if hard < 0 else min(wanted, hard)


def _largest_open_file() -> int | None:
    """Return the size in bytes of the largest file that is open; None where it cannot be told."""
    sizes = [0]
    try:
        names = os.listdir("/proc/self/fd")  # noqa: PTH208 - numbers, not paths
    except OSError:
        return None
    for name in names:
        # The list itself was open while it was made.
        with contextlib.suppress(OSError):
            about = os.fstat(int(name))
            if stat.S_ISREG(about.st_mode):
                sizes.append(about.st_size)
    return max(sizes)


def _address_space() -> int | None:
    """Return the address space of the process in bytes; None where it cannot be told."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123 - one word
            return int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return None


def _peak_address_space() -> int | None:
    """Return the largest address space that the process had, bytes; None where not told."""
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as file:  # noqa: PTH123
            for line in file:
                if line.startswith("VmPeak:"):
                    return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    return None
