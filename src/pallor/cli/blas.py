"""Start without the threads of a linear algebra that a command does not do."""

from __future__ import annotations

import os


def one_blas_thread() -> None:
    """Keep NumPy's linear algebra to one thread, unless the user has said how many.

    Otherwise it starts one a processor when it is loaded, and they wait in a busy loop: a third
    of the processor time in which `pallor check` starts. To be called before NumPy is loaded.
    """
    for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
