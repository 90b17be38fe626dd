"""A network run by LiteRT, without its chatter on stderr."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

_CHATTER = b"INFO: Created TensorFlow Lite XNNPACK delegate for CPU."
_STDERR = 2
_once = threading.Lock()
_silenced = False


class Network:
    """One network with one float32 picture as input.

    Parameters
    ----------
    content
        The network in TensorFlow Lite format.
    threads
        Threads of the inference.
    """

    def __init__(self, content: bytes, threads: int) -> None:
        from ai_edge_litert.interpreter import Interpreter

        with _without_chatter():
            self._interpreter: Any = Interpreter(model_content=content, num_threads=threads)
            self._interpreter.allocate_tensors()
        self._input = self._interpreter.get_input_details()[0]["index"]
        self._outputs = {d["name"]: d["index"] for d in self._interpreter.get_output_details()}

    def __call__(self, image: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """Run on ``(h, w, 3)`` float32 and return the outputs by name."""
        self._interpreter.set_tensor(self._input, image[None])
        self._interpreter.invoke()
        return {name: self._interpreter.get_tensor(i) for name, i in self._outputs.items()}


@contextlib.contextmanager
def _without_chatter() -> Iterator[None]:
    # LiteRT announces its CPU delegate on file descriptor 2, once a process, and offers
    # neither a variable nor a call in Python against it (google-ai-edge/LiteRT issue 7420).
    # So the descriptor is redirected for the few milliseconds of the first construction.
    # Everything else that was written meanwhile, by whatever thread, is passed on.
    global _silenced
    with _once:
        if _silenced:
            redirect = False
        else:
            redirect = _silenced = True
        if not redirect:
            yield
            return
        try:
            saved = os.dup(_STDERR)
        except OSError:  # no stderr at all: nothing to keep quiet
            yield
            return
        with tempfile.TemporaryFile() as caught:
            if sys.stderr is not None:
                sys.stderr.flush()
            os.dup2(caught.fileno(), _STDERR)
            try:
                yield
            finally:
                os.dup2(saved, _STDERR)
                os.close(saved)
                caught.seek(0)
                rest = [line for line in caught if line.strip() != _CHATTER]
                if rest:
                    os.write(_STDERR, b"".join(rest))
