"""Run an ONNX graph on the CPU at a stated precision."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from pallor.errors import WeightsError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Run = Callable[["NDArray[Any]"], "NDArray[np.float32]"]
"""The graph's one input to its first output."""


def onnx_runtime(graph: bytes, threads: int, name: str, *, output: str | None = None) -> Run:
    """Return the graph under ONNX Runtime, float32.

    Parameters
    ----------
    graph
        An ONNX model. It is given as bytes, so that it cannot name other files to load.
    threads
        Threads to compute on.
    name
        Of the file, for the messages.
    output
        Which output to return; the first by default.

    Raises
    ------
    WeightsError
        If ONNX Runtime cannot load the graph, or, when run, cannot compute it.
    """
    import numpy as np
    import onnxruntime

    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    # Waiting threads that spin take the core from the decoder.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = onnxruntime.InferenceSession(
            graph, sess_options=options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:
        raise WeightsError(f"{name}: ONNX Runtime cannot load it ({_first_line(error)})") from error
    source = session.get_inputs()[0].name
    target = output or session.get_outputs()[0].name

    def run(batch: NDArray[Any]) -> NDArray[np.float32]:
        try:
            return np.asarray(session.run([target], {source: batch})[0], dtype=np.float32)
        except Exception as error:
            raise WeightsError(
                f"{name}: the network cannot be computed ({_first_line(error)})"
            ) from error

    return run


def openvino_bfloat16(graph: bytes, threads: int, name: str) -> Run:
    """Return the graph under OpenVINO, bfloat16 where its CPU plugin computes in it.

    Parameters
    ----------
    graph, threads, name
        As for `onnx_runtime`.

    Raises
    ------
    WeightsError
        If OpenVINO is not installed, the processor has no bfloat16, or the graph cannot be
        loaded or computed.
    """
    import sys

    # Importing openvino tells its maker, over the network; without this module of its own it
    # falls back to saying nothing.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    try:
        import openvino
    except ImportError as error:
        raise WeightsError(
            "bfloat16 needs OpenVINO: run `pip install pallor[fast]`, or use float32"
        ) from error
    import numpy as np

    try:
        core = openvino.Core()
        able = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        compiled = core.compile_model(
            core.read_model(model=graph),
            "CPU",
            {
                "INFERENCE_PRECISION_HINT": "bf16",
                "INFERENCE_NUM_THREADS": threads,
                "PERFORMANCE_HINT": "LATENCY",
            },
        )
        used = compiled.get_property("INFERENCE_PRECISION_HINT")
    except RuntimeError as error:
        raise WeightsError(f"{name}: OpenVINO cannot load it ({_first_line(error)})") from error
    if "BF16" not in able or used != openvino.Type.bf16:
        raise WeightsError("this processor does not compute in bfloat16: use float32")
    request = compiled.create_infer_request()

    def run(batch: NDArray[Any]) -> NDArray[np.float32]:
        try:
            return np.array(request.infer([batch])[compiled.output(0)], dtype=np.float32)
        except RuntimeError as error:
            raise WeightsError(
                f"{name}: the network cannot be computed ({_first_line(error)})"
            ) from error

    return run


RUNTIMES: Final[dict[str, Callable[[bytes, int, str], Run]]] = {
    "float32": onnx_runtime,
    "bfloat16": openvino_bfloat16,
}
"""Precision to what computes in it."""


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:300]
