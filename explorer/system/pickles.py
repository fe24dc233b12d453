"""Pickles of anybody, of which nothing is executed: containers, numbers and texts. No torch.

A pickle is a program. This reader knows the instructions that put containers, numbers and texts
together, and calls only what its subclass names (``find_class``). Python's own reader in C takes
memory for any index of its memo; the one in Python, which this is, does not.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any, ClassVar

OPCODES = (
    *(pickle.PROTO, pickle.FRAME, pickle.STOP, pickle.MARK, pickle.POP, pickle.POP_MARK),
    *(pickle.NONE, pickle.NEWTRUE, pickle.NEWFALSE, pickle.BINFLOAT),
    *(pickle.BININT, pickle.BININT1, pickle.BININT2, pickle.LONG1),
    *(pickle.BINUNICODE, pickle.SHORT_BINUNICODE, pickle.SHORT_BINBYTES, pickle.BINBYTES),
    *(pickle.EMPTY_DICT, pickle.SETITEM, pickle.SETITEMS),
    *(pickle.EMPTY_LIST, pickle.APPEND, pickle.APPENDS),
    *(pickle.EMPTY_TUPLE, pickle.TUPLE, pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3),
    *(pickle.BINPUT, pickle.LONG_BINPUT, pickle.BINGET, pickle.LONG_BINGET, pickle.MEMOIZE),
    *(pickle.GLOBAL, pickle.STACK_GLOBAL, pickle.REDUCE),
)


def instructions(*more: bytes) -> dict[int, Callable[[Any], None]]:
    """How each of ``OPCODES`` and of some more is obeyed."""
    return {code[0]: pickle._Unpickler.dispatch[code[0]] for code in (*OPCODES, *more)}


class NarrowUnpickler(pickle._Unpickler):
    """Containers, numbers and texts; what ``find_class`` does not name is an error."""

    stack: list[Any]
    read: Callable[[int], bytes]
    append: Callable[[object], None]
    pop_mark: Callable[[], list[Any]]
    load_mark: Callable[[], None]

    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = instructions()

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"{module[:40]}.{name[:40]}")

    def load_setitems(self) -> None:
        """Keys are texts and numbers: tuples could be made to collide, or as deep as to crash."""
        items = self.pop_mark()
        into = self.stack[-1]
        if not isinstance(into, dict) or not all(type(key) in (str, int) for key in items[::2]):
            raise pickle.UnpicklingError("no name in a dictionary")
        into.update(zip(items[::2], items[1::2], strict=True))

    def load_setitem(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self.load_mark()
        self.stack += [key, value]
        self.load_setitems()

    def load_long1(self) -> None:
        """Of up to eight bytes: larger ones could be chosen to collide as keys."""
        n = self.read(1)[0]
        if n > 8:
            raise pickle.UnpicklingError("a number of many digits")
        self.append(pickle.decode_long(self.read(n)))

    dispatch |= {
        pickle.SETITEMS[0]: load_setitems,
        pickle.SETITEM[0]: load_setitem,
        pickle.LONG1[0]: load_long1,
    }
