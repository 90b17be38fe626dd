"""What runs a network: ONNX Runtime at float32, OpenVINO at bfloat16."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pallor.errors import WeightsError
from pallor.features.backbones.runtime import RUNTIMES
from tiny_network import write_tiny_network

HAS_OPENVINO = importlib.util.find_spec("openvino") is not None
needs_openvino = pytest.mark.skipif(
    not HAS_OPENVINO, reason="OpenVINO is not installed: pip install pallor[fast]"
)


@pytest.fixture
def graph(tmp_path: Path) -> bytes:
    write_tiny_network(tmp_path / "own.onnx")
    return (tmp_path / "own.onnx").read_bytes()


def batch() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(4, 3, 224, 224)).astype(np.float32) + 1


def has_bfloat16() -> bool:
    import openvino

    return "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


@pytest.mark.parametrize("precision", ["float32", pytest.param("bfloat16", marks=needs_openvino)])
def test_rubbish_is_no_graph(precision):
    with pytest.raises(WeightsError, match=r"own\.onnx"):
        RUNTIMES[precision](b"rubbish" * 100, 1, "own.onnx")


@pytest.mark.parametrize("threads", [1, 2])
def test_a_wrong_shape_is_told(graph, threads):
    run = RUNTIMES["float32"](graph, threads, "own.onnx")
    with pytest.raises(WeightsError, match="cannot be computed"):
        run(np.zeros((1, 4, 224, 224), np.float32))


@needs_openvino
def test_bfloat16_is_near_float32_and_not_equal_or_is_refused(graph):
    exact = RUNTIMES["float32"](graph, 2, "own.onnx")(batch())
    try:
        rounded = RUNTIMES["bfloat16"](graph, 2, "own.onnx")(batch())
    except WeightsError as error:
        assert not has_bfloat16(), error
        assert "use float32" in error.text
        return
    assert has_bfloat16()
    # bfloat16 keeps 8 bits: relative rounding of 2**-9 for each factor.
    np.testing.assert_allclose(rounded, exact, atol=0.02 * np.abs(exact).max())
    assert (rounded != exact).any()


@needs_openvino
def test_results_of_one_call_survive_the_next(graph):
    try:
        run = RUNTIMES["bfloat16"](graph, 1, "own.onnx")
    except WeightsError:
        assert not has_bfloat16()
        return
    first = run(batch())
    kept = first.copy()
    run(-batch())
    np.testing.assert_array_equal(first, kept)


@needs_openvino
@pytest.mark.slow
def test_openvino_opens_no_connection(graph, tmp_path):
    """Importing it on its own does: it reports to its maker."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    (tmp_path / "graph.onnx").write_bytes(graph)
    code = (
        "from pathlib import Path; from pallor.errors import WeightsError\n"
        "from pallor.features.backbones.runtime import RUNTIMES\n"
        f"graph = Path({str(tmp_path / 'graph.onnx')!r}).read_bytes()\n"
        "try:\n    RUNTIMES['bfloat16'](graph, 1, 'own.onnx')\n"
        "except WeightsError as error:\n    print(error)\n"
        "import openvino"
    )
    log = tmp_path / "strace"
    command = ["strace", "-f", "-e", "trace=network", "-o", str(log), sys.executable, "-c", code]
    subprocess.run(command, check=True, capture_output=True)
    assert "AF_INET" not in log.read_text()


def test_without_openvino_the_message_says_what_to_install(graph, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(WeightsError, match=r"pallor\[fast\]"):
        RUNTIMES["bfloat16"](graph, 1, "own.onnx")
