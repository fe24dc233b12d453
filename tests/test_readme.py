"""What README.md says and can be checked: its table of shipped nets, its commands, its files."""

from __future__ import annotations

import re
import statistics
from pathlib import Path

from explorer.cli.parser import parse
from explorer.shipped import shipped

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


HEAD = (
    "| net | steps | accuracy | test error of other seeds "
    "| median accuracy after deleting one block |"
)
ROWS = {
    "digits_plain_20": "plain, 20 layers",
    "digits_plain_56": "plain, 56 layers",
    "digits_plain_110": "plain, 110 layers",
    "digits_resnet_v2_56": "residual v2, 56 layers",
    "digits_resnet_v2_110": "residual v2, 110 layers",
    "digits_fc_highway_50": "highway, 50 layers, fully connected, b_T = −4",
    "digits_densenet_40_k12": "dense, 40 layers, k = 12",
}


def row_of(name: str) -> str:
    card = shipped()[name]
    median = statistics.median(unit["accuracy"] for unit in card.results["lesions"]["units"])
    cells = [
        ROWS[name],
        f"{card.recipe.steps:,}",
        f"{card.accuracy:.1%}".replace("%", " %"),
        "; ".join(trial.words() for trial in card.trials),
        f"{median:.1%}".replace("%", " %"),
    ]
    return f"| {' | '.join(cells)} |"


def test_the_table_of_shipped_nets_is_that_of_their_cards() -> None:
    assert "\n".join([HEAD, "|---|---|---|---|---|", *map(row_of, ROWS)]) in README
    assert sorted(ROWS) == sorted(shipped())


def test_every_command_of_the_readme_is_one() -> None:
    lines = re.findall(r"^skipscope (.+?)(?:\s{2,}#.*)?$", README, re.MULTILINE)
    assert len(lines) > 8
    for line in lines:
        words = re.sub(r"\s+#.*$", "", line).split()
        parse(words)


def test_the_files_that_the_readme_names_are_there() -> None:
    for path in re.findall(r"\]\(([\w./-]+)\)", README):
        assert (ROOT / path).exists(), path
