"""What recurs in commands: the parser with sentences, nets, data, weights, seed, device."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from textwrap import fill
from typing import NoReturn

from explorer.claims import says
from explorer.cli.commands import values
from explorer.errors import SkipscopeError
from explorer.structure.specs import DATASETS
from explorer.writing.formats import WEIGHTS_KINDS


class UsageError(SkipscopeError):
    """A command line that cannot be understood."""


class Parser(argparse.ArgumentParser):
    """argparse with sentences: errors are raised, not printed with the usage."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(
            *args,  # type: ignore[arg-type]
            **{  # type: ignore[arg-type]
                "formatter_class": argparse.RawDescriptionHelpFormatter,
                "allow_abbrev": False,
                **kwargs,
            },
        )

    def error(self, message: str) -> NoReturn:
        text = message.removeprefix("argument ").rstrip(".")
        raise UsageError(f"{text[0].upper()}{text[1:]}; see `{self.prog} --help`.")


Command = Callable[[str, str, str, str, str], Parser]


def told(*keys: str) -> str:
    """Sentences of the table of claims, as wide as a help's other lines."""
    return fill(says(*keys), 90)


NAME = (
    "a name or token of `skipscope list`, a trained net's name, a spec file (.json), weights "
    "with their card (.safetensors), or another library's net (torchvision_resnet50) to look at"
)


def net(parser: Parser) -> None:
    parser.add_argument("net", metavar="NAME", help=NAME)


def data(parser: Parser, what: str) -> None:
    parser.add_argument(
        "--data",
        metavar="DATA",
        help=f"{what}: {', '.join(DATASETS)}, or images of your own: "
        "a folder or .zip of them, CIFAR's python batches, a .npz, .npy or .csv file",
    )
    parser.add_argument(
        "--image-size", type=values.whole, metavar="N", help="pixels a side of a folder's images"
    )
    parser.add_argument(
        "--resize",
        type=values.whole,
        metavar="N",
        help="make the images' shorter side so many pixels first, and cut out their centre (256, "
        "then 224, for other libraries' nets; otherwise the largest central square is taken)",
    )
    parser.add_argument(
        "--balanced",
        action="store_const",
        const=True,
        help="equally many images of each class wherever only some are taken, and of the test "
        "images (default: each class in its own share)",
    )


def weights(parser: Parser) -> None:
    parser.add_argument(
        "--weights",
        type=values.path,
        metavar="FILE",
        help=f"weights of this net: {WEIGHTS_KINDS}; or `default` for another library's own",
    )
    belongs(parser)


def belongs(parser: Parser) -> None:
    """What belongs to weights, where their file does not say it."""
    parser.add_argument(
        "--mean",
        type=values.several(values.number_within(0, 1)),
        metavar="X,X,…",
        help="normalise images by this mean of each channel, on the scale 0 to 1 (default: what "
        "is known of the weights, else the images' own)",
    )
    parser.add_argument(
        "--std",
        type=values.several(values.number_within(None, 10, 0)),
        metavar="X,X,…",
        help="and by this standard deviation",
    )
    parser.add_argument(
        "--classes",
        type=values.words,
        metavar="NAMES",
        help="what the net's answers are called, in its order: names with commas between, a file "
        f"with a name a line, or one of {', '.join(DATASETS)}",
    )


def json(parser: argparse._ActionsContainer) -> None:
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")


def seed(parser: Parser, what: str) -> None:
    parser.add_argument("--seed", type=values.seed_value, default=7, help=f"{what} (default 7)")


def device(parser: Parser) -> None:
    parser.add_argument(
        "--device",
        type=values.one_of("auto", "cpu", "cuda", "mps"),
        default="auto",
        help="auto, cpu, cuda or mps (default auto)",
    )


FRESH = "the fresh weights where there are no trained ones"


def nets(
    parser: Parser, what: str, seeds: str = f"seed of {FRESH}", *, needed: bool = True
) -> None:
    """Any number of nets, side by side; none at all where they are not needed."""
    parser.add_argument("nets", nargs="+" if needed else "*", metavar="NAME", help=NAME)
    data(parser, what)
    weights(parser)
    seed(parser, seeds)
    device(parser)


def nets_and_image(
    parser: Parser, seeds: str = f"seed of {FRESH}", *, deletes: bool = True
) -> None:
    """Any number of nets, one image, and where it ``deletes`` units to leave out."""
    parser.add_argument("nets", nargs="+", metavar="NAME", help=NAME)
    parser.add_argument(
        "--image",
        default="0",
        metavar="N|FILE",
        help="a test image by its number (default 0), or an image file of yours",
    )
    if deletes:
        parser.add_argument(
            "--delete",
            action="append",
            metavar="UNITS",
            help="leave out these units, separated by commas; repeat for each net",
        )
    data(parser, "the test images (default: what the net was trained on, else digits)")
    weights(parser)
    seed(parser, seeds)
    device(parser)
