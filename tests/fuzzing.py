"""Texts and files that nobody in their right mind would send, from a fixed seed.

``mutated`` changes a few places of something sensible: most of what it makes is nearly right, which
is where readers go wrong. ``NASTY`` holds what has broken a reader before, and its kin.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import TypeVar

T = TypeVar("T")

NASTY = (
    "",
    " ",
    "\0",
    "a\0b",
    "\ud800",  # half of a pair
    "\u202e",  # turns what follows around
    "٣٤",  # digits, but not ASCII's
    "½",
    "~",
    "~nosuchuser/x",
    "../" * 40 + "etc/passwd",
    "/" + "a" * 300,
    "/" + "a/" * 2100,
    "[" * 2500,
    "{" * 2500,
    '{"a":' * 2500,
    "[" * 40 + "1" + "]" * 40,
    "9" * 300,
    "9" * 5000,
    "-" + "9" * 5000,
    "0" * 5000 + "1",
    "1e999",
    "-1e999",
    "1_000",
    "NaN",
    "Infinity",
    "-0",
    "true",
    "null",
    "[]",
    "{}",
    '""',
    "%00",
    "%ud800",
    "%",
    ";;;",
    "===",
    ",,,",
    "@@@",
    "|:.",
    "<script>alert(1)</script>",
    "![](http://x/y.png)",
    "x" * 30_000,
)
_SIGNS = "abz019.,;:=@|&%[]{}()<>\"'\\/ ~-+_\0\n\u00e9"


def mutated(text: str, random: Random) -> str:
    """The text with one to four changes."""
    for _ in range(random.randint(1, 4)):
        at = random.randint(0, len(text))
        end = min(len(text), at + random.randint(1, 6))
        match random.randrange(6):
            case 0:
                text = text[:at] + text[end:]
            case 1:
                text = text[:at] + random.choice(_SIGNS) + text[end:]
            case 2:
                text = text[:at] + random.choice(NASTY) + text[end:]
            case 3:
                text = text[:at] + text[at:end] * random.choice((2, 3, 50)) + text[end:]
            case 4:  # a whole part in the place of another
                parts = text.split(";")
                parts[random.randrange(len(parts))] = random.choice(NASTY)
                text = ";".join(parts)
            case _:
                key, equals, _ = text.rpartition("=")
                text = f"{key}{equals}{random.choice(NASTY)}"
    return text


def mutated_bytes(content: bytes, random: Random) -> bytes:
    """The file with a few bytes changed, cut out, repeated, or cut off."""
    data = bytearray(content)
    for _ in range(random.randint(1, 8)):
        if not data:
            break
        # Headers stand at the start and, in archives, at the end: half of the changes go there.
        near = random.choice((64, 512, len(data)))
        at = random.randrange(min(near, len(data)))
        if random.random() < 0.25:
            at = len(data) - 1 - at
        match random.randrange(6):
            case 0 | 1:
                data[at] = random.choice((0, 1, 0x7F, 0x80, 0xFF, random.randrange(256)))
            case 2:
                data[at : at + 4] = random.choice((b"\xff\xff\xff\xff", b"\0\0\0\0", b"\0\0\0\x7f"))
            case 3:
                del data[at : at + random.choice((1, 4, 100))]
            case 4:
                data[at:at] = data[at : at + random.choice((1, 8, 200))]
            case _:
                del data[at if random.random() < 0.3 else len(data) :]
    return bytes(data)


def samples(seeds: Sequence[T], change: Callable[[T, Random], T], n: int, seed: int) -> Iterator[T]:
    """``n`` mutated seeds, the same at every call."""
    random = Random(seed)
    for _ in range(n):
        yield change(random.choice(seeds), random)
