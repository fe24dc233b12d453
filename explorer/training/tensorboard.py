"""Scalars as TensorBoard reads them, without TensorBoard: a file of length-prefixed events.

One record is its length (8 bytes), that length's masked CRC-32C, an ``Event`` message and its
masked CRC-32C (TFRecord). Of the protocol buffers only what scalars need is written:
``Event{wall_time = 1, step = 2, file_version = 3, summary = 5}``, ``Summary{value = 1}``,
``Value{tag = 1, simple_value = 2}``.
"""

from __future__ import annotations

import os
import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path

from explorer.errors import RunError
from explorer.results import Record

_POLYNOMIAL = 0x82F63B78  # CRC-32C (Castagnoli), reversed


def _table() -> Iterator[int]:
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (_POLYNOMIAL if byte & 1 else 0)
        yield byte


_TABLE = tuple(_table())


class EventFile:
    """Scalars of one lane; they reach the disk when :meth:`flush` is called.

    Args:
        folder: TensorBoard's name of the run; each process adds a file of its own.

    Raises:
        RunError: The folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        now = time.time()
        name = f"events.out.tfevents.{int(now)}.{socket.gethostname()}.{os.getpid()}"
        self._path = folder / name
        version = _field(1, struct.pack("<d", now), 1) + _field(3, b"brain.Event:2", 2)
        self._waiting = [_record(version)]
        self.flush()

    def add(self, record: Record, layers: tuple[str, ...]) -> None:
        """The scalars of a training's record; kinds that have none are left out.

        Args:
            layers: Names of the lane's layers with weights, for their gradients.
        """
        values = record.values
        if record.kind == "step":
            rows = {
                "batch/loss": values["loss"],
                "batch/error": values["error"],
                "learning_rate": values["learning_rate"],
            }
        elif record.kind == "eval":
            sets, kinds = ("train", "test"), ("loss", "error")
            rows = {f"{kind}/{name}": values[f"{name}_{kind}"] for name in sets for kind in kinds}
        elif record.kind == "layers":
            names = (f"gradient/{layer}" for layer in layers)
            rows = dict(zip(names, values["parameter_rms"], strict=True))
        else:
            return
        for tag, value in rows.items():
            if value is not None:
                self._waiting.append(_record(_scalar(tag, value, record.step)))

    def flush(self) -> None:
        """Write what was added."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("ab") as file:
                file.writelines(self._waiting)
        except OSError as error:
            raise RunError(
                f"TensorBoard's events cannot be written to {str(self._path.parent)!r} "
                f"({error.strerror or error}): free some space, or leave them out."
            ) from None
        self._waiting.clear()


def _scalar(tag: str, value: float, step: int) -> bytes:
    entry = _field(1, tag.encode(), 2) + _field(2, struct.pack("<f", value), 5)
    summary = _field(1, entry, 2)
    wall_time = _field(1, struct.pack("<d", time.time()), 1)
    return wall_time + _varint(2 << 3) + _varint(step) + _field(5, summary, 2)


def _field(number: int, content: bytes, wire_type: int) -> bytes:
    """A field of a protocol buffer: 8 or 4 bytes (types 1 and 5), or bytes of any length (2)."""
    length = _varint(len(content)) if wire_type == 2 else b""
    return _varint(number << 3 | wire_type) + length + content


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _record(content: bytes) -> bytes:
    length = struct.pack("<Q", len(content))
    return length + _masked(length) + content + _masked(content)


def crc32c(content: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in content:
        crc = crc >> 8 ^ _TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def _masked(content: bytes) -> bytes:
    crc = crc32c(content)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)
