"""``skipscope zoo``: makes the trained nets that come with the program, and measures them again."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from explorer.cli import text
from explorer.cli.choices import data_spec
from explorer.cli.folder import CHECKPOINT, read_folder
from explorer.data.downloads import is_here
from explorer.errors import DataError, RunError, WeightsError
from explorer.structure.specs import DATASETS
from explorer.system.home import default_home

if TYPE_CHECKING:
    from explorer.data.dataset import Dataset, Progress
    from explorer.structure.cards import Card
    from explorer.training.publish import Recipe


def run_zoo(args: argparse.Namespace) -> None:
    """``build`` or ``verify``."""
    (_verify if args.what == "verify" else _build)(args)


def _build(args: argparse.Namespace) -> None:
    """Train each, write its weights and card, say what came out."""
    from explorer.training.publish import SHIPPED, publish, recipe_of

    recipes = [recipe_of(name) for name in args.only or SHIPPED]
    if args.from_folder is not None and len(recipes) != 1:
        raise WeightsError("A training is of one net: name it with --only NAME.")
    if args.only is None:  # without CIFAR-10's images those that need none are made
        recipes = [recipe for recipe in recipes if recipe.data == "digits" or _has(args, recipe)]
    loaded: dict[str, Dataset] = {}
    cards = []
    for recipe in recipes:
        if recipe.data not in loaded:
            loaded[recipe.data] = _images(args, recipe)
        if recipe.data == "digits" and args.from_folder is None:
            with _bar(recipe.key) as tell:
                card = publish(recipe.key, args.out, tell, trials=args.trials)
        else:
            card = _from_folder(args, recipe, loaded[recipe.data])
        cards.append(card)
    if args.json:
        text.write_json([card.model_dump(mode="json", include=_SHOWN) for card in cards])
        return
    text.write(_table(cards))


def _verify(args: argparse.Namespace) -> None:
    """Measure what the cards say again; raise where something differs."""
    from explorer.structure.cards import shipped, shipped_path
    from explorer.training.publish import differences, recipe_of

    names = args.only or list(shipped())
    for name in names:
        shipped_path(name)  # an unknown one is a sentence at once
    loaded: dict[str, Dataset | None] = {}
    rows, found = [], []
    for name in names:
        recipe = recipe_of(name)
        if recipe.data not in loaded:
            loaded[recipe.data] = _images(args, recipe) if _has(args, recipe) else None
        data = loaded[recipe.data]
        with _bar(name) as tell:
            off = differences(name, data, tell, whole=args.all)
        found += off
        measured = "files alone: no images" if data is None else "as the card says"
        rows.append([name, "differs" if off else measured])
        for sentence in off:
            text.note(sentence)
    if args.json:
        text.write_json({"nets": dict(rows), "differences": found})
    else:
        text.write(text.table(["name", "measured again"], rows, "  "))
    if found:
        n = len(found)
        raise WeightsError(
            f"{n} measurement{'s differ' * (n > 1) or ' differs'} from what the cards say: see "
            "above, and make these nets again with `skipscope zoo build`."
        )


def _has(args: argparse.Namespace, recipe: Recipe) -> bool:
    """Whether a net's images are there, or were named."""
    return recipe.data == "digits" or args.data is not None or is_here(recipe.data_spec)


def _images(args: argparse.Namespace, recipe: Recipe) -> Dataset:
    """The images of a recipe: those of ``--data`` for what does not come with the program.

    Raises:
        DataError: They are not there; the sentence says what to give.
        WeightsError: ``--data`` is another data set.
    """
    from explorer.data.load import load_data
    from explorer.training.publish import refuse_other_images

    spec = recipe.data_spec
    if recipe.data != "digits":
        if args.data is None and not is_here(spec):
            raise DataError(
                f"{recipe.key} needs the images of {DATASETS[recipe.data].title}: give --data "
                f"{recipe.data}, which downloads them, or --data FOLDER with train/CLASS and "
                "test/CLASS."
            )
        spec = data_spec(args, spec).model_copy(update={"augment": recipe.augment})
    with text.progress("data") as bar:
        data = load_data(spec, lambda what, share: bar(share, what))
    refuse_other_images(recipe.key, data)
    return data


def _from_folder(args: argparse.Namespace, recipe: Recipe, data: Dataset) -> Card:
    """Trains in a folder, or goes on with what lies there, and publishes what came out."""
    from explorer.training.publish import publish_folder

    folder: Path = args.from_folder or default_home() / "zoo" / recipe.key
    if args.from_folder is None:
        _train(folder, recipe, data, resume=args.resume)
    _, records = read_folder(str(folder))
    with _bar(recipe.key) as tell:
        return publish_folder(recipe.key, folder, records, data, args.out, tell)


def _train(folder: Path, recipe: Recipe, data: Dataset, *, resume: bool) -> None:
    """As ``skipscope train --out`` does, so that it may be cut short and gone on with."""
    from explorer.cli.train import train_in
    from explorer.training.loop import Session
    from explorer.training.publish import experiment_of

    if (folder / CHECKPOINT).exists():
        session = Session.resume(folder / CHECKPOINT, dataset=data)
        if session.finished:
            return
        if not resume:
            raise RunError(
                f"The folder {str(folder)!r} holds a training of {recipe.key} at step "
                f"{session.step:,}: go on with it by --resume, or move it away."
            )
    else:
        session = Session(experiment_of(recipe).model_copy(update={"data": data.spec}), data)
    train_in(folder, session)


@contextmanager
def _bar(name: str) -> Iterator[Progress]:
    with text.progress(name) as bar:
        yield lambda what, share: bar(share, what)


def _table(cards: list[Card]) -> str:
    rows = [
        [card.name, text.percent(card.accuracy), str(card.n_images), card.precision]
        for card in cards
    ]
    return text.table(["name", "accuracy", "test images", "stored as"], rows, " rr ")


_SHOWN = {
    *("name", "accuracy", "accuracy_float32", "precision", "n_images", "seed", "versions"),
    *("created", "hardware", "seconds"),
}
