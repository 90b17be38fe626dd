"""Layers of an ONNX graph from the tensors of a checkpoint, each checked and accounted for."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from pallor.errors import WeightsError

SIDE: Final = 224
"""Height and width of a crop in pixels."""

Activation = Literal["relu", "relu6"]
State = Mapping[str, NDArray[Any]]
Triple = tuple[float, float, float]


def fold_norm(
    weight: NDArray[np.float64],
    scale: NDArray[np.float64],
    shift: NDArray[np.float64],
    mean: NDArray[np.float64],
    variance: NDArray[np.float64],
    eps: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the convolution that equals a convolution followed by batch normalization.

    ``scale (w * x - mean) / sqrt(variance + eps) + shift`` is linear in `w`, so one factor a
    channel goes into the weight and the rest is a bias (Ioffe and Szegedy 2015,
    arXiv:1502.03167, section 3.1).

    Parameters
    ----------
    weight
        ``(out, in, height, width)``.
    scale, shift, mean, variance
        ``(out,)`` each.
    eps
        Added to the variance.

    Returns
    -------
    tuple
        Weight of the same shape and bias ``(out,)``.
    """
    factor = scale / np.sqrt(variance + eps)
    return weight * factor[:, None, None, None], shift - mean * factor


def same_padding(side: int, kernel: int, stride: int) -> tuple[int, int]:
    """Return how many zeros TensorFlow's ``SAME`` puts before and after ``side`` pixels.

    The output has ``ceil(side / stride)`` pixels; of an odd number of zeros the larger part
    comes after (at the bottom and at the right).
    """
    total = max((math.ceil(side / stride) - 1) * stride + kernel - side, 0)
    return total // 2, total - total // 2


class GraphBuilder:
    """Adds layers by the names of their tensors, and takes account of what it has used.

    Every method returns the name of the layer's output. Shapes are known at every point, so
    a tensor that does not fit is refused when its layer is added.

    Parameters
    ----------
    label
        What messages call the checkpoint.
    state
        Name to array.
    """

    def __init__(self, label: str, state: State) -> None:
        self.label = label
        self.nodes: list[Any] = []
        self.initializers: dict[str, Any] = {}
        self._state = state
        self._known: set[str] = set()
        self._shapes: dict[str, tuple[int, int]] = {}

    def take(self, name: str, shape: tuple[int, ...]) -> NDArray[np.float64]:
        """Return one tensor of the checkpoint, in double precision.

        Raises
        ------
        WeightsError
            If it is absent, of another shape, not of floating point, or not finite.
        """
        if name not in self._state:
            raise self._refusal(f"there is no tensor {name}")
        array = self._state[name]
        if tuple(array.shape) != shape:
            raise self._refusal(f"{name} has the shape {tuple(array.shape)} instead of {shape}")
        if array.dtype.kind != "f":
            raise self._refusal(f"{name} holds {array.dtype} instead of floating-point numbers")
        if not np.isfinite(array).all():
            raise self._refusal(f"{name} holds NaN or infinity")
        self._known.add(name)
        return array.astype(np.float64)

    def conv_norm(
        self,
        x: str,
        conv: str,
        norm: str,
        channels: int,
        *,
        kernel: int = 1,
        stride: int = 1,
        padding: int | Literal["same"] = 0,
        groups: int = 1,
        eps: float = 1e-5,
        activation: Activation | None = None,
    ) -> str:
        """Add a convolution without bias, its batch normalization, and an activation.

        Parameters
        ----------
        x
            Input.
        conv, norm
            Names of the two layers in the checkpoint, without ``.weight``.
        channels
            Of the output.
        kernel, stride
            In pixels, the same along both axes.
        padding
            Zeros at each border, or ``same`` for `same_padding`.
        groups
            As many as channels for a depthwise convolution.
        eps
            Added to the variance.
        activation
            None for a linear output.
        """
        inputs, side = self._shapes[x]
        weight, bias = fold_norm(
            self.take(f"{conv}.weight", (channels, inputs // groups, kernel, kernel)),
            self.take(f"{norm}.weight", (channels,)),
            self.take(f"{norm}.bias", (channels,)),
            self.take(f"{norm}.running_mean", (channels,)),
            self._variance(f"{norm}.running_var", channels),
            eps,
        )
        # A counter of training, in files since 2018 and without meaning here.
        self._known.add(f"{norm}.num_batches_tracked")
        before, after = same_padding(side, kernel, stride) if padding == "same" else (padding,) * 2
        out = self._node(
            "Conv",
            [x, self._constant(f"{conv}.folded", weight), self._constant(f"{norm}.folded", bias)],
            conv,
            kernel_shape=[kernel] * 2,
            strides=[stride] * 2,
            pads=[before, before, after, after],
            group=groups,
        )
        self._shapes[out] = (channels, (side + before + after - kernel) // stride + 1)
        return out if activation is None else self._activate(out, activation)

    def add(self, a: str, b: str, name: str, activation: Activation | None = None) -> str:
        """Add two outputs of the same shape, as at the end of a residual block."""
        if self._shapes[a] != self._shapes[b]:
            raise ValueError(f"{name}: {self._shapes[a]} cannot be added to {self._shapes[b]}")
        out = self._node("Add", [a, b], name)
        self._shapes[out] = self._shapes[a]
        return out if activation is None else self._activate(out, activation)

    def max_pool(self, x: str, name: str, *, kernel: int, stride: int, padding: int) -> str:
        """Take the largest of every window; borders do not count."""
        channels, side = self._shapes[x]
        out = self._node(
            "MaxPool",
            [x],
            name,
            kernel_shape=[kernel] * 2,
            strides=[stride] * 2,
            pads=[padding] * 4,
        )
        self._shapes[out] = (channels, (side + 2 * padding - kernel) // stride + 1)
        return out

    def global_mean(self, x: str, name: str) -> str:
        """Average over height and width: ``(N, channels)``."""
        mean = self._node("GlobalAveragePool", [x], f"{name}.mean")
        out = self._node("Flatten", [mean], name, axis=1)
        self._shapes[out] = (self._shapes[x][0], 1)
        return out

    def linear(self, x: str, weight: str, bias: str, outputs: int, name: str) -> str:
        """Add ``x weight.T + bias`` by the full names of the two tensors."""
        tensors = self.linear_tensors(weight, bias, outputs, self._shapes[x][0])
        out = self._node(
            "Gemm",
            [x, self._constant(weight, tensors[0]), self._constant(bias, tensors[1])],
            name,
            transB=1,
        )
        self._shapes[out] = (outputs, 1)
        return out

    def linear_tensors(
        self, weight: str, bias: str, outputs: int, inputs: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return weight and bias of a linear layer after the checks of `take`."""
        return self.take(weight, (outputs, inputs)), self.take(bias, (outputs,))

    def standardized(self, crops: str, mean: Triple, std: Triple) -> str:
        """Add what turns 8-bit RGB ``(N, 224, 224, 3)`` into a network's input."""
        from onnx import TensorProto

        columns = (1, 3, 1, 1)
        # Transposed while a number is one byte.
        planes = self._node("Transpose", [crops], "planes", perm=[0, 3, 1, 2])
        pixels = self._node("Cast", [planes], "pixels", to=TensorProto.FLOAT)
        means = self._constant("pixel_mean", np.reshape(mean, columns))
        centered = self._node("Sub", [pixels, means], "centered")
        stds = self._constant("pixel_std", np.reshape(std, columns))
        out = self._node("Div", [centered, stds], "standardized")
        self._shapes[out] = (3, SIDE)
        return out

    def output(self, x: str, name: str) -> str:
        """Give an output its name in the graph's interface."""
        return self._node("Identity", [x], name)

    def channels(self, x: str) -> int:
        """Return how many channels an output has."""
        return self._shapes[x][0]

    def check_all_used(self) -> None:
        """Refuse a checkpoint that holds more than its network has.

        Raises
        ------
        WeightsError
            Naming the first three of the tensors for which there is no place.
        """
        extra = sorted(str(name)[:80] for name in set(self._state) - self._known)
        if extra:
            more = f" and {len(extra) - 3} more" if len(extra) > 3 else ""
            raise self._refusal(f"there is no place for {', '.join(extra[:3])}{more}")

    def _variance(self, name: str, channels: int) -> NDArray[np.float64]:
        variance = self.take(name, (channels,))
        if (variance < 0).any():
            raise self._refusal(f"{name} holds a negative variance")
        return variance

    def _activate(self, x: str, activation: Activation) -> str:
        if activation == "relu":
            out = self._node("Relu", [x], f"{x}.relu")
        else:
            limits = [self._constant("zero", np.float64(0)), self._constant("six", np.float64(6))]
            out = self._node("Clip", [x, *limits], f"{x}.relu6")
        self._shapes[out] = self._shapes[x]
        return out

    def _constant(self, name: str, value: NDArray[np.float64] | np.float64) -> str:
        from onnx import numpy_helper

        if name not in self.initializers:
            with np.errstate(over="ignore"):  # looked at in the next line
                single = np.asarray(value, dtype=np.float32)
            if not np.isfinite(single).all():
                raise self._refusal(f"{name} does not fit into single precision")
            self.initializers[name] = numpy_helper.from_array(single, name)
        return name

    def _node(self, operator: str, inputs: list[str], name: str, **attributes: Any) -> str:
        from onnx import helper

        self.nodes.append(helper.make_node(operator, inputs, [name], name=name, **attributes))
        return name

    def _refusal(self, what: str) -> WeightsError:
        return WeightsError(
            f"{self.label}: {what}; this is not a checkpoint of this network, or it was altered: "
            "get it again."
        )
