"""A server reduced to its supervisor, as a process that can be killed.

``python service_server.py DATA URL WORKERS TIME_LIMIT_S MEMORY_BYTES``; prints the workers'
process ids whenever they change, one line each time. Told to end by a signal, it takes a second
before it stops its workers, as a server whose connections have to end first.
"""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path

from pallor.service.jobs.supervisor import Supervisor
from pallor.service.settings import ServiceSettings
from pallor.service.store.engine import open_store
from service_work import NAME


def main() -> None:
    told: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda heard, _frame: told.append(heard))
    data, url, workers, limit_s, memory = sys.argv[1:]
    settings = ServiceSettings(
        Path(data),
        database_url=url,
        workers=int(workers),
        job_time_limit_s=float(limit_s),
        job_memory_bytes=int(memory),
    )
    with Supervisor(settings, open_store(settings), work=NAME, lost_s=4.0) as supervisor:
        shown: tuple[int, ...] = ()
        end_s = float("inf")
        while time.monotonic() < end_s:
            if told:
                end_s = min(end_s, time.monotonic() + 1.0)
            if (pids := supervisor.status().pids) != shown:
                shown = pids
                sys.stdout.write(" ".join(map(str, pids)) + "\n")
                sys.stdout.flush()
            time.sleep(0.02)


if __name__ == "__main__":
    main()
