"""What README.md says and can be checked: its table of shipped nets, its commands, its files."""

from __future__ import annotations

import re
import statistics
from pathlib import Path

from explorer.cli.parser import parse
from explorer.instruments import instruments
from explorer.structure.cards import Card, shipped
from explorer.structure.names import title_of

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


HEAD = (
    "| net | steps | accuracy | test error of other seeds "
    "| median accuracy after deleting one block |"
)


def table_of(data: str) -> str:
    """As it stands in the README, of the cards of all nets that ship for these images."""
    cards = [card for card in shipped().values() if card.data.name == data]
    cards.sort(key=lambda card: (card.spec.family, card.spec.depth, card.name))
    return "\n".join([HEAD, "|---|---|---|---|---|", *map(row_of, cards)])


def row_of(card: Card) -> str:
    found = card.results.get("lesions", {"units": []})["units"]
    cells = [
        title_of(card.spec) + " (meant to fail)" * card.meant_to_fail,
        f"{card.recipe.steps:,}",
        f"{card.accuracy:.1%}".replace("%", " %"),
        "; ".join(trial.words() for trial in card.trials),
        f"{statistics.median(unit['accuracy'] for unit in found):.1%}".replace("%", " %")
        if found
        else "",
    ]
    return f"| {' | '.join(cells)} |"


def test_the_tables_of_shipped_nets_are_those_of_their_cards() -> None:
    for data in {card.data.name for card in shipped().values()}:
        assert table_of(data) in README, table_of(data)


def test_every_command_of_the_readme_is_one() -> None:
    lines = re.findall(r"^skipscope (.+?)(?:\s{2,}#.*)?$", README, re.MULTILINE)
    assert len(lines) > 8
    for line in lines:
        words = re.sub(r"\s+#.*$", "", line).split()
        parse(words)


def test_the_files_that_the_readme_names_are_there() -> None:
    for path in re.findall(r"\]\(([\w./-]+)\)", README):
        assert (ROOT / path).exists(), path


def test_the_table_of_instruments_names_every_one() -> None:
    for name in instruments():
        assert f"`{name}`" in README or f"`{name} " in README, name
