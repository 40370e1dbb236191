"""Plain values from a pickle, without unpickling: the opcodes for numbers, texts and containers, and no others.

StanfordCars3D publishes its poses as pickles. Unpickling runs whatever a file says, so the file is only *parsed*
(``pickletools.genops`` executes nothing): an opcode that would import or call anything is refused.
"""

from __future__ import annotations

import pickletools
from pathlib import Path
from typing import Any

from edge.errors import DataError

#: Opcodes whose argument is the value.
VALUES = frozenset(
    ("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "STRING", "BINSTRING")
    + ("SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES")
)
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
EMPTY = {"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_TUPLE": tuple}
MARK = object()


def read_plain_pickle(path: Path) -> Any:
    """The value in a pickle of dict, list, tuple, text, numbers, None and booleans.

    DataError if the file is gone, damaged, or holds anything that would have to be imported or called.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error}); unpack the data set again") from error
    machine = _Machine()
    try:
        for opcode, argument, _ in pickletools.genops(data):
            if not machine.step(opcode.name, argument):
                raise DataError(
                    f"{path} holds more than plain values (opcode {opcode.name}) and is not read, because unpickling "
                    "runs code from the file; convert it to JSON of the same form on a machine you can lose"
                )
        return machine.stack.pop()
    except (ValueError, IndexError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path} is damaged or no pickle ({error}); unpack it from its archive again") from error


class _Machine:
    """Stack and memo of the pickle machine."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def step(self, name: str, argument: Any) -> bool:
        """Do one opcode; False if it is none of the plain ones."""
        if name in VALUES:
            self.stack.append(argument.decode("latin-1") if isinstance(argument, bytes) else argument)
        elif name in CONSTANTS:
            self.stack.append(CONSTANTS[name])
        elif name in EMPTY:
            self.stack.append(EMPTY[name]())
        elif name in ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"):
            self.memo[len(self.memo) if argument is None else int(argument)] = self.stack[-1]
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            self.stack.append(self.memo[int(argument)])
        elif name == "MARK":
            self.stack.append(MARK)
        elif name not in ("PROTO", "FRAME", "STOP"):
            return self._container(name)
        return True

    def _container(self, name: str) -> bool:
        if name in ("TUPLE1", "TUPLE2", "TUPLE3"):
            count = int(name[-1])
            tail = tuple(self.stack[-count:])
            del self.stack[-count:]
            self.stack.append(tail)
        elif name == "APPEND":
            item = self.stack.pop()
            self.stack[-1].append(item)
        elif name == "SETITEM":
            value, key = self.stack.pop(), self.stack.pop()
            self.stack[-1][key] = value
        elif name in ("DICT", "LIST", "TUPLE"):
            items = self._to_mark()
            pairs = zip(items[::2], items[1::2])
            self.stack.append(dict(pairs) if name == "DICT" else items if name == "LIST" else tuple(items))
        elif name == "APPENDS":
            items = self._to_mark()
            self.stack[-1].extend(items)
        elif name == "SETITEMS":
            items = self._to_mark()
            self.stack[-1].update(zip(items[::2], items[1::2]))
        else:
            return False
        return True

    def _to_mark(self) -> list[Any]:
        start = len(self.stack) - 1 - next(i for i, item in enumerate(reversed(self.stack)) if item is MARK)
        items = self.stack[start + 1 :]
        del self.stack[start:]
        return items
