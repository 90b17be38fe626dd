from __future__ import annotations

import ast
import os
import pickle
import struct
import time
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkpoint_checks import NAME, both_formats, bounded, refused
from checkpoint_writer import (
    legacy_file,
    pickled,
    sample_state,
    save_legacy,
    whole,
    zip_file,
)
from pallor.errors import WeightsError
from pallor.weights import checkpoint_opcodes
from pallor.weights.checkpoint import read_checkpoint


def _objects(opcodes: bytes) -> dict[str, bytes]:
    """Return files of both formats with the given opcodes for their object part."""
    content = b"\x80\x02" + opcodes
    return {"zip": zip_file(content, {}), "legacy": legacy_file(content, {}, {})}


def _refused_opcodes(opcodes: bytes, words: str | None = None) -> None:
    for content in _objects(opcodes).values():
        refused(content, words)


def _text(text: str) -> bytes:
    raw = text.encode()
    return b"X" + struct.pack("<I", len(raw)) + raw


class _Runs:
    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self):
        return self.call


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
            text = refused(file, "nothing was executed")
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
def test_an_opcode_that_weights_do_not_need_isrefused(opcode):
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
def test_opcodes_that_do_not_fit_together_arerefused(words, opcodes):
    # In a legacy file other parts follow, and what should be the end may be elsewhere.
    refused(_objects(opcodes)["zip"], words)
    refused(_objects(opcodes)["legacy"])


def test_state_set_on_a_dictionary_has_no_effect_and_on_all_else_isrefused():
    entry = _text("x") + TENSOR + b"s"
    tricks = [b"__setstate__", b"__dict__", b"__class__", b"items", b"_metadata"]
    states = b"".join(_text(t.decode()) + b"Ns" for t in tricks)
    content = b"\x80\x02}" + entry + b"}" + states + b"b."
    (back,) = read_checkpoint(zip_file(content, {"0": b"\0" * 16}), NAME).values()
    assert back.shape == (4,)
    for target in (TENSOR, b"ctorch\nFloatStorage\n", ORDERED, b")", b"]", b"N", _text("a")):
        refused(zip_file(b"\x80\x02" + target + b"}" + states + b"b.", {"0": b"\0" * 16}), "state")


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
            refused(content)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


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
def test_mutated_files_give_arrays_or_arerefused(save, data):
    _arrays_or_refusal(data.draw(_edits(save(sample_state()))))


@bounded
@given(data=st.data())
def test_mutated_object_parts_in_sound_files_give_arrays_or_arerefused(data):
    content, storages, counts = pickled(sample_state())
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
def test_opcodes_in_any_order_give_arrays_or_arerefused(pieces, start):
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
