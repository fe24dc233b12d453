"""What README.md says and can be checked: its table of shipped nets, its commands, its files."""

from __future__ import annotations

import re
import statistics
from pathlib import Path

import pytest

from explorer.cli.parser import parse
from explorer.shipped import shipped

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


@pytest.mark.parametrize(
    ("row", "name"),
    [
        ("plain, 56 layers", "digits_plain_56"),
        ("residual v2, 56 layers", "digits_resnet_v2_56"),
        ("highway, 50 layers, fully connected, b_T = −3", "digits_fc_highway_50"),
        ("dense, 40 layers, k = 12", "digits_densenet_40_k12"),
    ],
)
def test_the_table_of_shipped_nets_is_that_of_their_cards(row: str, name: str) -> None:
    card = shipped()[name]
    median = statistics.median(unit["accuracy"] for unit in card.results["lesions"]["units"])
    assert f"| {row} | {card.accuracy:.1%} | {median:.1%} |".replace("%", " %") in README


def test_every_command_of_the_readme_is_one() -> None:
    lines = re.findall(r"^skipscope (.+?)(?:\s{2,}#.*)?$", README, re.MULTILINE)
    assert len(lines) > 8
    for line in lines:
        words = re.sub(r"\s+#.*$", "", line).split()
        parse(words)


def test_the_files_that_the_readme_names_are_there() -> None:
    for path in re.findall(r"\]\(([\w./-]+)\)", README):
        assert (ROOT / path).exists(), path
