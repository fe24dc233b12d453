"""The command line: every command by name, and what is wrong with one in a sentence."""

from __future__ import annotations

import argparse
import difflib
import functools
import textwrap

from explorer.cli.commands import images, nets, training
from explorer.cli.commands.options import Parser, UsageError
from explorer.instruments import instruments as declared
from explorer.instruments.doors import shell

WIDTH = 92
_EARLIER = {"publish": ["zoo", "build"]}  # commands by the names that they had


def parse(argv: list[str]) -> argparse.Namespace:
    """The arguments, with ``run`` the function of the command (as ``module:function``).

    Raises:
        UsageError: One sentence with the nearest command or option.
    """
    parser, commands = build()
    argv = shell.renamed(argv) or ["--help"]
    argv = [*_EARLIER.get(argv[0], argv[:1]), *argv[1:]]
    first = next((word for word in argv if not word.startswith("-")), None)
    if first is not None and first not in commands:
        near = difflib.get_close_matches(first, commands, n=1, cutoff=0.4)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(commands)}."
        raise UsageError(f"There is no command {first!r}: {hint}")
    args, unknown = parser.parse_known_args(argv)
    if unknown:
        command = commands[args.command]
        options = [flag for action in command._actions for flag in action.option_strings]
        near = difflib.get_close_matches(unknown[0], options, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"see `{command.prog} --help`."
        if near and near[0] == unknown[0]:
            raise UsageError(f"Options stand behind the command: {command.prog} … {near[0]}.")
        views = shell.views(args.command) if unknown[0] in ("--view", "--kind") else []
        if views:
            hint = f"each view is a command of its own: {', '.join(views)}."
        what = "option" if unknown[0].startswith("-") else "further argument"
        raise UsageError(f"`{command.prog}` takes no {what} {unknown[0]!r}: {hint}")
    return args


@functools.cache
def build() -> tuple[Parser, dict[str, Parser]]:
    """The whole parser, and the parser of each command by name; made once."""
    parser = Parser(
        prog="skipscope",
        description="See why very deep networks train or fail: residual, highway, dense, plain.",
        epilog="""\
start here:
  skipscope app                                open it in the browser
  skipscope list                               nets, trained nets, data sets, recipes
  skipscope show resnet_v2_56                  what a net is made of
  skipscope lesions digits_resnet_v2_56        accuracy after deleting each unit
  skipscope train plain_20 resnet_v2_20        two nets on the same batches

Every command explains itself: skipscope train --help""",
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    made: dict[str, Parser] = {}

    def command(name: str, run: str, summary: str, about: str, examples: str) -> Parser:
        made[name] = commands.add_parser(
            name,
            help=summary,
            description=f"{summary[0].upper()}{summary[1:]}.\n\n{_wrapped(about)}",
            epilog=f"examples:\n{examples}",
        )
        made[name].set_defaults(run=run)
        return made[name]

    nets.app(command)
    nets.list_and_show(command)
    training.train(command)
    training.sweep(command)
    images.endpoints(command)
    for one in declared().values():
        shell.add(command, one)
    nets.export(command)
    nets.importing(command)
    training.report(command)
    training.zoo_and_bench(command)
    nets.claims(command)
    nets.reproduce(command)
    return parser, made


def _wrapped(about: str) -> str:
    """Lines of a terminal's width; what has lines already keeps them."""
    return about if "\n" in about else textwrap.fill(about, WIDTH)
