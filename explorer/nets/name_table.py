"""A person's own table of names: the last resort, where a file's structure tells nobody its net.

A table is a JSON object: a file's name of a tensor, or the beginning of one that ends before a dot,
and the net's name of it. ``*`` stands for a number, and the net's name takes the numbers in the
order in which the file's name has them::

    {"features.first": "stem.conv", "body.*.a": "stages.0.units.*.conv1", "fc": "head.linear"}
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from explorer.errors import WeightsError
from explorer.nets.weight_files import StoredTensors, stored_tensors
from explorer.system.bounded import plain_json

_LARGEST = 1 << 20  # bytes of a table; a net of 1,000 layers written out takes a tenth


def read_table(path: Path) -> dict[str, str]:
    """A table from a file.

    Raises:
        WeightsError: One sentence: not a JSON object of names, or numbers that have no place.
    """
    try:
        if path.stat().st_size > _LARGEST:
            raise ValueError(f"it is larger than {_LARGEST >> 20} MiB")
        table = plain_json(path.read_text("utf-8"))
        if not isinstance(table, dict) or not table:
            raise ValueError("it is no object, or an empty one")
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or error
        raise WeightsError(
            f"{path.name} is no table of names ({reason}): write a JSON object such as "
            '{"conv0": "stem.conv", "body.*.a": "stages.0.units.*.conv1"}.'
        ) from None
    for theirs, ours in table.items():
        if not isinstance(ours, str) or ours.count("*") != theirs.count("*"):
            raise WeightsError(
                f"{path.name} gives {theirs[:60]!r} the name {str(ours)[:60]!r}: give a text with "
                "as many *, each of which stands for a number."
            )
    return table


def by_table(stored: StoredTensors, table: Mapping[str, str]) -> StoredTensors:
    """The tensors under the table's names; of several beginnings that fit, the longest counts.

    Raises:
        WeightsError: A line of the table fits no tensor, or two tensors would have one name.
    """
    lines = sorted(table.items(), key=lambda line: -len(line[0]))
    patterns = [(theirs, _pattern(theirs), ours) for theirs, ours in lines]
    names: dict[str, str] = {}
    used = set()
    for name in stored.shapes:
        new = name
        for theirs, pattern, ours in patterns:
            found = pattern.match(name)
            if found:
                used.add(theirs)
                new = _with_numbers(ours, found.groups()) + name[found.end() :]
                break
        if new in names:
            raise WeightsError(
                f"{stored.file}: by the table both {names[new]} and {name} would be {new}; give "
                "each a name of its own."
            )
        names[new] = name
    unused = [theirs for theirs in table if theirs not in used]
    if unused:
        some = ", ".join(list(stored.shapes)[:3])
        raise WeightsError(
            f"{stored.file} has no tensor {unused[0][:60]!r}, which the table names; it has {some}"
            " and others."
        )
    return stored.taken(names)


def renamed_file(path: Path, table: Mapping[str, str], folder: Path) -> Path:
    """The file's tensors under the table's names, as a new file in the folder."""
    from safetensors.torch import save_file

    stored = by_table(stored_tensors(path), table)
    out = folder / f"{path.name}.safetensors"
    tensors = {name: value.contiguous() for name, value in stored.read().items()}
    save_file(tensors, out, metadata=dict(stored.header))
    return out


def _with_numbers(ours: str, numbers: tuple[str, ...]) -> str:
    """ "units.*.conv" and ("12",) to "units.12.conv"."""
    texts = ours.split("*")
    return "".join(text + number for text, number in zip(texts, (*numbers, ""), strict=True))


def _pattern(theirs: str) -> re.Pattern[str]:
    return re.compile(r"(\d+)".join(map(re.escape, theirs.split("*"))) + r"(?=\.|$)")
