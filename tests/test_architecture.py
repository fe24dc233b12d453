"""ARCHITECTURE.md's stations exist: every file that it names, and every name in it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
STATIONS = re.findall(r"`(explorer/[\w/.]+)`(?:\s+`(\w+)`)?", TEXT)
MOST = 14  # stations of a journey


@pytest.mark.parametrize(("file", "name"), STATIONS)
def test_a_station_is_there(file: str, name: str) -> None:
    path = ROOT / file
    assert path.exists()
    if name:
        text = path.read_text("utf-8")
        defined = rf"^\s*(async )?(def |class |function |export function )?{name}\b\s*[(:\[=]"
        assert re.search(defined, text, re.MULTILINE), f"{file} defines no {name}"


def test_a_journey_is_short() -> None:
    for journey in re.split(r"^## ", TEXT, flags=re.MULTILINE)[1:4]:
        numbers = [int(n) for n in re.findall(r"^(\d+)\. ", journey, re.MULTILINE)]
        assert numbers == list(range(1, len(numbers) + 1))
        assert 9 <= len(numbers) <= MOST
