"""The stack machine of the object part of a checkpoint, in the opcodes that weights need.

Python's own unpickler, even with an allow-list of globals, is no safe reader of hostile bytes:
in Python 3.11 a 2 MB file whose dictionary key is a deeply nested tuple overflows the C stack,
a hundred bytes of doubled tuples keep it busy for days, and 9 bytes that number a memo entry
take 4 GB. So the thirty opcodes that ``torch.save`` writes are carried out here: no step costs
more than the bytes it reads, keys are strings, and what a file names becomes one of the inert
records of `pallor.weights.checkpoint_records`; every other opcode is refused.

The meaning of the opcodes follows Python's ``pickletools``, protocol 2.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from pallor.weights.checkpoint_machine import Machine, ObjectPart
from pallor.weights.checkpoint_records import ALLOWED, Rebuild, storage_of

PROTOCOL = 2
MAX_STEPS = 1_000_000
"""A checkpoint of ResNet152 takes some 40 000."""


_U1, _U2, _U4 = struct.Struct("<B"), struct.Struct("<H"), struct.Struct("<I")
_I4, _F8 = struct.Struct("<i"), struct.Struct(">d")


def _proto(machine: Machine) -> None:
    protocol = machine.number(_U1)
    if protocol != PROTOCOL:
        raise ValueError(
            f"its object part has protocol {protocol}, and torch.save writes {PROTOCOL}; "
            "nothing was executed"
        )


def _mark(machine: Machine) -> None:
    machine.marks.append(machine.stack)
    machine.stack = []


def _integer(form: struct.Struct) -> Callable[[Machine], None]:
    def step(machine: Machine) -> None:
        machine.stack.append(machine.number(form))

    return step


def _long(machine: Machine) -> None:
    raw = machine.take(machine.number(_U1))
    machine.stack.append(int.from_bytes(raw, "little", signed=True))


def _float(machine: Machine) -> None:
    machine.stack.append(float(_F8.unpack(machine.take(8))[0]))


def _text(machine: Machine) -> None:
    raw = machine.take(machine.number(_U4))
    try:
        machine.stack.append(raw.decode("utf-8"))
    except UnicodeDecodeError:
        raise ValueError("a text in its object part is not UTF-8") from None


def _tuple(count: int) -> Callable[[Machine], None]:
    def step(machine: Machine) -> None:
        items = [machine.pop() for _ in range(count)]
        machine.stack.append(tuple(reversed(items)))

    return step


def _tuple_since_mark(machine: Machine) -> None:
    items = tuple(machine.pop_mark())
    machine.stack.append(items)


def _extend(machine: Machine, items: list[object]) -> None:
    target = machine.top()
    if not isinstance(target, list):
        raise ValueError("its object part appends to something that is not a list")
    target.extend(items)


def _set(machine: Machine, items: list[object]) -> None:
    target = machine.top()
    if not isinstance(target, dict):
        raise ValueError("its object part sets items of something that is not a dictionary")
    if len(items) % 2:
        raise ValueError("a dictionary in its object part has a key without a value")
    for key, value in zip(items[::2], items[1::2], strict=True):
        # Strings hash in time linear in their length and unpredictably; nested tuples and
        # chosen integers do not.
        if not isinstance(key, str):
            raise ValueError(f"a dictionary has a key of type {type(key).__name__}, not text")
        target[key] = value


def _set_one(machine: Machine) -> None:
    value, key = machine.pop(), machine.pop()
    _set(machine, [key, value])


def _put(form: struct.Struct) -> Callable[[Machine], None]:
    def step(machine: Machine) -> None:
        index = machine.number(form)
        machine.memo[index] = machine.top()

    return step


def _get(form: struct.Struct) -> Callable[[Machine], None]:
    def step(machine: Machine) -> None:
        index = machine.number(form)
        if index not in machine.memo:
            raise ValueError("its object part recalls what it never stored")
        machine.stack.append(machine.memo[index])

    return step


def _global(machine: Machine) -> None:
    module, name = machine.line(), machine.line()
    if (module, name) not in ALLOWED:
        raise ValueError(
            f"it names {module}.{name}, which is not among what a checkpoint of weights needs; "
            "nothing was executed"
        )
    machine.stack.append(ALLOWED[module, name])


def _reduce(machine: Machine) -> None:
    arguments, function = machine.pop(), machine.pop()
    if not isinstance(function, Rebuild) or not isinstance(arguments, tuple):
        raise ValueError("its object part calls something that is not a function")
    machine.stack.append(function.function(arguments))


def _build(machine: Machine) -> None:
    # An OrderedDict may carry attributes: the versions of the modules. Nothing needs them.
    state = machine.pop()
    if not isinstance(machine.top(), dict) or not isinstance(state, dict):
        raise ValueError("its object part sets the state of an object that has none")


def _persistent(machine: Machine) -> None:
    storage = storage_of(machine.pop())
    if machine.storages.setdefault(storage.key, storage) != storage:
        raise ValueError("it refers to one storage in two ways")
    machine.stack.append(storage)


_STEPS: dict[int, Callable[[Machine], None]] = {
    0x80: _proto,
    ord("("): _mark,
    ord("N"): lambda machine: machine.stack.append(None),
    0x88: lambda machine: machine.stack.append(True),
    0x89: lambda machine: machine.stack.append(False),
    ord("J"): _integer(_I4),
    ord("K"): _integer(_U1),
    ord("M"): _integer(_U2),
    0x8A: _long,
    ord("G"): _float,
    ord("X"): _text,
    ord(")"): lambda machine: machine.stack.append(()),
    0x85: _tuple(1),
    0x86: _tuple(2),
    0x87: _tuple(3),
    ord("t"): _tuple_since_mark,
    ord("]"): lambda machine: machine.stack.append([]),
    ord("a"): lambda machine: _extend(machine, [machine.pop()]),
    ord("e"): lambda machine: _extend(machine, machine.pop_mark()),
    ord("}"): lambda machine: machine.stack.append({}),
    ord("s"): _set_one,
    ord("u"): lambda machine: _set(machine, machine.pop_mark()),
    ord("q"): _put(_U1),
    ord("r"): _put(_U4),
    ord("h"): _get(_U1),
    ord("j"): _get(_U4),
    ord("c"): _global,
    ord("R"): _reduce,
    ord("b"): _build,
    ord("Q"): _persistent,
}
_STOP = ord(".")


def read_object(content: bytes, start: int, end: int) -> ObjectPart:
    """Carry out the opcodes from ``start`` on, up to the first that stops.

    Parameters
    ----------
    content
        The file.
    start, end
        Where the object part begins, and what it must not reach beyond.

    Raises
    ------
    ValueError
        For anything that is not the object part of a checkpoint of weights.
    """
    machine = Machine(content, start, end)
    for _ in range(MAX_STEPS):
        code = machine.take(1)[0]
        if code == _STOP:
            if len(machine.stack) != 1 or machine.marks:
                raise ValueError("its object part leaves other than one object")
            return ObjectPart(machine.stack[0], machine.storages, machine.position)
        step = _STEPS.get(code)
        if step is None:
            raise ValueError(
                f"it uses opcode 0x{code:02x}, which is not among what a checkpoint of weights "
                "needs; nothing was executed"
            )
        step(machine)
    raise ValueError(f"its object part takes more than {MAX_STEPS} steps")
