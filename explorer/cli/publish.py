"""``skipscope publish``: makes the trained nets that come with the program."""

from __future__ import annotations

import argparse
import difflib

from explorer.cli import text
from explorer.errors import WeightsError


def run_publish(args: argparse.Namespace) -> None:
    """Train each, write its weights and card, say what came out."""
    from explorer.training.publish import SHIPPED, publish

    for name in args.only or ():
        if name not in SHIPPED:
            near = difflib.get_close_matches(name, SHIPPED, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(SHIPPED)}."
            raise WeightsError(f"There is no recipe {name!r}: {hint}")
    cards = []
    for name in args.only or SHIPPED:
        with text.progress(name) as bar:
            cards.append(
                publish(
                    name,
                    args.out,
                    lambda what, share, bar=bar: bar(share, what),  # type: ignore[misc]
                    trials=args.trials,
                )
            )
    if args.json:
        text.write_json([card.model_dump(mode="json", include=_SHOWN) for card in cards])
        return
    rows = [[card.name, text.percent(card.accuracy), str(card.n_images)] for card in cards]
    text.write(text.table(["name", "accuracy", "test images"], rows, " rr"))


_SHOWN = {"name", "accuracy", "n_images", "seed", "versions", "created"}
