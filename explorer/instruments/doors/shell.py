"""An instrument as a command: its flags and their help, and what a terminal shows."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from inspect import cleandoc
from textwrap import fill
from typing import TYPE_CHECKING, Any

from explorer.cli import text
from explorer.cli.commands import options, values
from explorer.cli.commands.options import Command, Parser
from explorer.cli.outputs import add_outputs, deliver
from explorer.errors import SpecError
from explorer.instruments import Instrument, aliases, instrument
from explorer.instruments.contract import (
    Ask,
    Column,
    Graph,
    Lane,
    OneImage,
    Option,
    Result,
    Show,
    Style,
    Table,
)
from explorer.instruments.doors.calling import Work, measured
from explorer.instruments.doors.words import bounds

if TYPE_CHECKING:
    from explorer.cli.choices import Loaded
    from explorer.instruments.doors.kept import KeptFile

RUN = "explorer.instruments.doors.shell:run"
WIDTH = 92
_DATA = {
    "net": "measure on this (default: what it was trained on, else digits)",
    "weights": "shape the net for this data (no images are loaded)",
    "image": "the test images (default: what the net was trained on, else digits)",
    "data": "the images (default digits)",
}


def add(command: Command, one: Instrument) -> None:
    """The command of an instrument."""
    summary, _, about = cleandoc(one.ask.__doc__ or "").partition("\n\n")
    summary = " ".join(summary.split()).rstrip(".")
    paragraphs = [
        " ".join(part.split()) for part in about.partition("\n\nAttributes:")[0].split("\n\n")
    ]
    paragraphs += [one.ask.about] if one.ask.about else []
    parser = command(
        one.name,
        RUN,
        summary[0].lower() + summary[1:],
        "\n".join(fill(part, WIDTH) for part in paragraphs if part),
        "\n".join(f"  skipscope {line}" for line in one.ask.examples),
    )
    parser.set_defaults(instrument=one.name)
    _subject(parser, one)
    for option in one.options:
        if option.at("shell") and not (option.name == "seed" and _has_seed(one)):
            _flag(parser, option, words=not _takes_words(one))
    for flag, names in one.ask.flags.items():
        readers = [_reader(next(o for o in one.options if o.name == name))[0] for name in names]
        _several_at_once(parser, flag, names, readers)
    if one.ask.keeps:
        parser.add_argument(
            "--keep",
            type=values.path,
            metavar="FILE",
            help="write there what is measured, or go on from it",
        )
    if one.graph is not None:
        _graph_flags(parser)
    add_outputs(parser)


def renamed(argv: Sequence[str]) -> list[str]:
    """A command line with today's name of its command: ``gradients --view terms`` has its own."""
    words = list(argv)
    if not words or words[0].startswith("-"):
        return words
    words[0] = words[0].replace("-", "_")
    for word in words[1:]:
        before = f"{words[0]} {word.partition('=')[0]}"
        if before in aliases():  # a flag that has become a command
            return [aliases()[before], *words[1:]]
    for flag in ("--view", "--kind", "--method"):
        for i, word in enumerate(words[1:], start=1):
            value = word.partition("=")[2] if word.startswith(f"{flag}=") else ""
            if word == flag and i + 1 < len(words):
                value = words[i + 1]
            before = f"{words[0]} {flag} {value}"
            if value and before in aliases():
                del words[i : i + (2 if word == flag else 1)]
                new = aliases()[before]
                return [new, *words[1:], *instrument(new).ask.views.get(before, ())]
    return [aliases().get(words[0], words[0]), *words[1:]]


def views(command: str) -> list[str]:
    """The commands that earlier were views of this one; empty where it had none."""
    names = [
        new
        for old, new in aliases().items()
        if old.split(" ")[0] == command and old.count(" ") == 2
    ]
    return list(dict.fromkeys([*names]))


def asked(args: argparse.Namespace) -> tuple[Instrument, Ask, Show]:
    """What a command line asks; what it leaves out is at its default.

    Raises:
        SpecError: One sentence.
    """
    one = instrument(args.instrument)
    if one.ask.without_nets and not args.nets:
        one = instrument(one.ask.without_nets)
    said = {o.name: getattr(args, o.name, None) for o in one.options if not o.told.each}
    given = {name: value for name, value in said.items() if value not in (None, [], ())}
    return one, one.asked(given), one.shown(given)


def run(args: argparse.Namespace) -> None:
    """Measures, and writes the answer where the command line says."""
    one, ask, show = asked(args)
    if one.graph is not None and (args.dot or args.svg or args.picture is not None):
        _draw_graph(one, one.graph, ask, args)
        return
    lanes, weights = _SUBJECTS[one.ask.subject](one, ask, args)
    if one.page.chosen is not None:
        choose = one.page.chosen
        lanes = [_with(lane, choose(lane, ask, show)) for lane in lanes]
    names = ", ".join(lane.name for lane in lanes)
    of_nets = one.ask.subject not in ("data", "none")
    title = f"{one.page.title}: {names}{_measured_on(lanes)}" if of_nets else one.page.question
    if deliver(
        args,
        _Answer([lane.result for lane in lanes], [lane.name for lane in lanes]),
        lambda: one.figure(lanes, ask, show, Style(alone=True)),
        title=title,
        also={**_weights(weights), **_normalised(lanes)},
    ):
        return
    for lane in lanes:
        own = one.page.own_weights is None or one.page.own_weights(lane, ask, show)
        of = weights.get(lane.index) if own else None
        text.write(_heading(one, lane, of, of_nets))
        told = None if one.page.terminal is None else one.page.terminal(lane, ask, show)
        if told is None:
            told = lane.result if one.page.table is None else one.page.table(lane.result)
        text.write(told if isinstance(told, str) else table(told))
        text.write("")
    for sentence in one.page.caption(lanes, ask, show):
        text.write(fill(sentence, WIDTH))


def table(result: Result | Table) -> str:
    """Rows as a terminal shows them."""
    shown = [(i, one) for i, one in enumerate(result.columns) if one.shown]
    rows = list(result.rows())
    numeric = {i: any(isinstance(row[i], (int, float)) for row in rows) for i, _ in shown}
    header, right = [], ""
    cells: list[list[str]] = [[] for _ in rows]
    for i, column in shown:
        header.append(column.title)
        right += "r" if numeric[i] else " "
        for line, row in zip(cells, rows, strict=True):
            line.append(cell(column, row[i]))
        if column.bar == "log":
            header.append("log scale")
            right += " "
            for line, mark in zip(cells, text.log_marks([row[i] for row in rows]), strict=True):
                line.append(mark)
        elif column.bar:
            header.append("")
            right += " "
            most = max((abs(row[i]) for row in rows if _finite(row[i])), default=0.0)
            most = 1.0 if column.unit == "%" else most
            most = most if column.bar is True else column.bar
            for line, row in zip(cells, rows, strict=True):
                bar = text.bar(abs(row[i]) / most) if most and _finite(row[i]) else ""
                line.append(f"−{bar}" if bar and row[i] < 0 else bar)
    return text.table(header, cells, right)


def cell(column: Column, value: Any) -> str:
    """One value, rounded to what it is worth; empty for what is not known."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        if column.unit in ("%", "points"):
            return f"{100 * value:.{column.digits}f}"
        return f"{value:.{column.digits}g}"
    return f"{value:,}" if isinstance(value, int) and abs(value) >= 10_000 else str(value)


# ------------------------------------------------------------------------------------- flags


def _takes_words(one: Instrument) -> bool:
    """Whether words without a flag mean something, such as names of nets."""
    return one.ask.subject not in ("data", "none") or any(o.told.bare for o in one.options)


def _has_seed(one: Instrument) -> bool:
    """Whether the command has a seed for its fresh weights, which then is that of all draws."""
    return one.ask.subject in ("net", "weights", "image")


def _subject(parser: Parser, one: Instrument) -> None:
    subject = one.ask.subject
    draws = next((option.help for option in one.ask.options() if option.name == "seed"), "")
    seed_words = f"{f'{draws}, and' if draws else 'seed'} of {options.FRESH}"
    if subject in ("net", "weights"):
        options.nets(parser, _DATA[subject], seed_words, needed=not one.ask.without_nets)
    elif subject == "image":
        options.nets_and_image(parser, seed_words, deletes=one.ask.deletes)
    elif subject == "data":
        options.data(parser, _DATA[subject])
        options.device(parser)
    elif subject == "training":
        parser.add_argument(
            "folder",
            metavar="FOLDER",
            help="of `skipscope train --out`, with what was recorded; or a trained net's name",
        )
        parser.add_argument(
            "--lane", type=values.whole, metavar="N", help="one of its nets, from 1 (default all)"
        )


class _Words(argparse.Action):
    """Several words, each of which may be several values with commas between."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: Any = None) -> None:
        setattr(namespace, self.dest, tuple(value for word in values for value in word))


def _flag(parser: Parser, option: Option, *, words: bool) -> None:
    """An option's flag.

    Args:
        words: Whether words that follow it can only be its values.
    """
    if option.told.bare:
        read, _ = _reader(option)
        parser.add_argument(
            option.name, nargs="*", action=_Words, type=read, metavar="NAME", help=_help(option)
        )
        return
    names = [option.name, *(name for name in option.told.flags if "=" not in name)]
    flags = [f"--{name.replace('_', '-')}" for name in names]
    flags = list(dict.fromkeys(sorted(flags, key=lambda flag: flag != "--n")))
    text_of = _help(option)
    if option.kind == "flag":
        action: Any = argparse.BooleanOptionalAction if option.default else "store_true"
        parser.add_argument(*flags, dest=option.name, action=action, default=None, help=text_of)
        return
    read, metavar = _reader(option)
    several: dict[str, Any] = {"nargs": "+", "action": _Words} if words and _plural(option) else {}
    if option.told.each:
        several = {"action": "append"}
    parser.add_argument(
        *flags, dest=option.name, type=read, metavar=metavar, help=text_of, **several
    )
    for name, _, value in (name.partition("=") for name in option.told.flags if "=" in name):
        parser.add_argument(
            f"--{name}",
            dest=option.name,
            action="store_const",
            const=value,
            help=argparse.SUPPRESS,
        )


def _graph_flags(parser: Parser) -> None:
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--dot", action="store_true", help="the structure, as Graphviz source")
    how.add_argument("--svg", action="store_true", help="the structure, as SVG")
    how.add_argument(
        "--picture",
        type=values.path,
        metavar="FILE",
        help="the structure, as a .png, .svg or .pdf file, by Graphviz's `dot`",
    )


def _several_at_once(
    parser: Parser, flag: str, names: Sequence[str], readers: Sequence[Callable[[str], Any]]
) -> None:
    """An earlier flag that takes the values of several options, one after the other."""

    class Each(argparse.Action):
        def __call__(
            self, parser: Any, namespace: argparse.Namespace, words: Any, flag: str | None = None
        ) -> None:
            for name, read, word in zip(names, readers, words, strict=True):
                try:
                    setattr(namespace, name, read(word))
                except argparse.ArgumentTypeError as error:
                    raise argparse.ArgumentError(self, str(error)) from None

    parser.add_argument(f"--{flag}", nargs=len(names), action=Each, help=argparse.SUPPRESS)


def _plural(option: Option) -> bool:
    return option.kind in ("wholes", "numbers", "choices", "texts") and option.told.read is None


def _reader(option: Option) -> tuple[Callable[[str], Any], str]:
    if option.told.read is not None:
        return option.told.read, option.name.upper()
    low, high = option.least, option.most
    if option.kind == "choice":
        check, formerly = values.one_of(*option.choices), option.told.formerly
        return lambda word: check(formerly.get(word, word)), "WORD"
    if option.kind == "choices":
        return values.some_of(*option.choices), "WORDS"
    if option.kind == "whole":
        return values.whole_within(low, high), "N"
    if option.kind == "wholes":
        return values.several(values.whole_within(low, high)), "N,N,…"
    if option.kind == "number":
        return values.number_within(low, high, option.above), "X"
    if option.kind == "numbers":
        return values.several(values.number_within(low, high, option.above)), "X,X,…"
    if option.kind == "texts":
        return values.several(str), "WORDS"
    return str, option.name.upper()


def _help(option: Option) -> str:
    """The option's help with what is allowed and what is usual."""
    told = option.help.rstrip(".") or option.told.label
    notes = []
    if option.kind in ("choice", "choices"):
        listed = ", ".join(option.choices)
        if ";" in told or "." in told:  # what is listed would seem to belong to its last part alone
            notes.append(listed)
        else:
            told += f": {listed}"
    elif bounds(option):
        notes.append(bounds(option))
    if option.default not in (None, ()) and option.kind != "flag":
        notes.append(f"default {_written(option.default)}")
    elif option.kind == "flag" and option.default:
        notes.append("default yes")
    if option.told.each:
        notes.append("repeat for each net")
    noted = f" ({'; '.join(notes)})" if notes else ""
    return f"{told}{noted}".replace("%", "%%")


def _written(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(map(_written, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _draw_graph(one: Instrument, graph: Graph, ask: Ask, args: argparse.Namespace) -> None:
    """One net's structure, which needs neither weights nor images.

    Raises:
        SpecError: Several nets were named.
    """
    from explorer.cli.choices import plan_of
    from explorer.structure.graph import render

    if len(args.nets) > 1:
        raise SpecError("--dot, --svg and --picture draw one net: give one.")
    plan = plan_of(args.nets[0])
    one.check(plan)
    if args.svg:
        text.write(graph.svg(plan, ask))
    elif args.dot:
        text.write(graph.dot(plan, ask).rstrip())
    else:
        text.note(f"Wrote {render(graph.dot(plan, ask), args.picture)}.")


# ---------------------------------------------------------------------------------- measuring

Found = tuple[list[Lane[Any]], Mapping[int, str]]  # lanes, and where each net's values come from


def _nets(one: Instrument, ask: Ask, args: argparse.Namespace) -> Found:
    from explorer.cli.several import load_all
    from explorer.instruments.doors.kept import KeptFile

    kept = KeptFile(one, args.keep) if one.ask.keeps else None  # what is wrong is said first
    asks = _asks(one, ask, args)
    loaded = load_all(args)
    for net in loaded:
        one.check(net.net.blueprint)
    lanes = [
        _lane(
            one,
            net,
            index,
            _measured(one, asks[index], net.name, kept, net=net.net, data=net.dataset, lane=index),
        )
        for index, net in enumerate(loaded)
    ]
    return lanes, {index: net.weights for index, net in enumerate(loaded)}


def _asks(one: Instrument, ask: Ask, args: argparse.Namespace) -> list[Ask]:
    """What is asked of each net, where some options were given once for each."""
    from explorer.cli.several import for_each

    n = len(args.nets)
    given = {
        option.name: for_each(getattr(args, option.name, None), n, f"--{option.name}")
        for option in one.options
        if option.told.each
    }
    if not given:
        return [ask] * n
    return [
        one.asked({**ask.model_dump(), **{name: values[i] for name, values in given.items()}})
        for i in range(n)
    ]


def _images(one: Instrument, ask: Ask, args: argparse.Namespace) -> Found:
    from explorer.cli.several import deleted_units, image_of, load_all

    none: list[tuple[str, ...]] = [()] * len(args.nets)
    cut = deleted_units(args) if one.ask.deletes else none  # what is wrong is said first
    image, asks = image_of(args.image), _asks(one, ask, args)
    loaded = load_all(args)
    lanes = []
    for index, net in enumerate(loaded):
        picked = OneImage(image, cut[index])
        result = _measured(
            one, asks[index], net.name, net=net.net, data=net.dataset, image=picked, lane=index
        )
        lanes.append(_lane(one, net, index, result))
    return lanes, {index: net.weights for index, net in enumerate(loaded)}


def _weights_alone(one: Instrument, ask: Ask, args: argparse.Namespace) -> Found:
    from explorer.cli.choices import load_alone
    from explorer.cli.several import refuse_shared_weights
    from explorer.structure.specs import DataInfo

    refuse_shared_weights(args)
    lanes, weights = [], {}
    for index, name in enumerate(args.nets):
        called, net, words = load_alone(argparse.Namespace(**{**vars(args), "net": name}))
        result = _measured(one, ask, called, net=net, lane=index)
        spec = net.spec
        info = DataInfo(
            title="", input_shape=spec.input_shape, classes=tuple(map(str, range(spec.classes)))
        )
        lanes.append(Lane(index, called, net.blueprint, info, result))
        weights[index] = words
    return lanes, weights


def _data_alone(one: Instrument, ask: Ask, args: argparse.Namespace) -> Found:
    from explorer.cli.choices import data_spec
    from explorer.data.load import load_data
    from explorer.training.devices import resolve

    dataset = load_data(data_spec(args)).to(resolve(args.device))
    result = _measured(one, ask, None, data=dataset)
    return [Lane(0, one.page.title, None, dataset.info, result)], {}


def _recorded(one: Instrument, ask: Ask, args: argparse.Namespace) -> Found:
    from explorer.instruments.doors import trainings
    from explorer.structure.specs import DATASETS, DataInfo

    found = trainings.of_folder(args.folder)
    places = range(len(found))
    if args.lane is not None:
        trainings.one_of(found, args.lane)
        places = range(args.lane - 1, args.lane)
    lanes = []
    for place in places:
        training = found[place]
        plan = training.plan
        info = DATASETS.get(training.data) or DataInfo(
            title=training.data,
            input_shape=plan.spec.input_shape,
            classes=tuple(map(str, range(plan.spec.classes))),
        )
        result = measured(one, ask, Work(), training=training)
        lanes.append(Lane(place, training.net, plan, info, result))
    return lanes, {}


def _nothing(one: Instrument, ask: Ask, args: argparse.Namespace) -> Found:
    from explorer.structure.specs import DATASETS

    result = _measured(one, ask, None)
    return [Lane(0, one.page.title, None, DATASETS["digits"], result)], {}


_SUBJECTS: dict[str, Callable[[Instrument, Ask, argparse.Namespace], Found]] = {
    "net": _nets,
    "weights": _weights_alone,
    "image": _images,
    "data": _data_alone,
    "training": _recorded,
    "none": _nothing,
}


def _measured(
    one: Instrument, ask: Ask, name: str | None, kept: KeptFile | None = None, **subject: Any
) -> Result:
    with text.progress(name or one.name) as bar:

        def tell(part: Result, share: float, words: str) -> None:
            if kept is not None and name is not None:
                kept.keep(name, part)
            bar(share, words)

        known = None if kept is None or name is None else kept.known(name)
        result = measured(one, ask, Work(name, tell, known=known), **subject)
    if kept is not None and name is not None:
        kept.keep(name, result)
    return result


def _lane(one: Instrument, net: Loaded, index: int, result: Result) -> Lane[Any]:
    plan, data = net.net.blueprint, net.dataset
    return Lane(
        index, net.name, plan, data.info, result, normalised=data.normalisation, skew=data.skew
    )


def _with(lane: Lane[Any], result: Result) -> Lane[Any]:
    return replace(lane, result=result)


# ------------------------------------------------------------------------------------- words


class _Answer:
    """One result as it is; several as one document, and one table that says of which net."""

    def __init__(self, results: Sequence[Result], names: Sequence[str]) -> None:
        self.results, self.names = results, names

    def to_json(self) -> dict[str, Any]:
        if len(self.results) == 1:
            return self.results[0].to_json()
        return {"nets": [result.to_json() for result in self.results]}

    def to_frame(self) -> Any:
        import pandas as pd

        frames = [result.to_frame() for result in self.results]
        if len(frames) == 1:
            return frames[0]
        for name, frame in zip(self.names, frames, strict=True):
            frame.insert(0, "net", name)
        return pd.concat(frames, ignore_index=True)


def _weights(words: Mapping[int, str]) -> dict[str, Any]:
    """Where the values of one net come from, or of each of several."""
    if not words:
        return {}
    return {"weights": words[0] if len(words) == 1 else list(words.values())}


def _normalised(lanes: Sequence[Lane[Any]]) -> dict[str, Any]:
    """By what the images of one net were normalised, or of each of several."""
    words = [lane.normalised for lane in lanes]
    if not any(words):
        return {}
    return {"normalised": words[0] if len(words) == 1 else words}


def _measured_on(lanes: Sequence[Lane[Any]]) -> str:
    result = lanes[0].result
    n, data = getattr(result, "n_images", None), getattr(result, "data", None)
    image = getattr(result, "image", None)
    if isinstance(image, str):
        return f" ({image} of {data})"
    return f" ({n:,} images of {data})" if isinstance(n, int) and data else ""


def _heading(one: Instrument, lane: Lane[Any], weights: str | None, of_net: bool) -> str:
    """The net, its weights, and under what conditions it was measured."""
    from explorer.results.common import IMAGES

    result = lane.result
    lines = [lane.name if of_net else one.page.question]
    if weights is not None:
        lines = [f"{lane.name} ({weights})"]
    n, data = getattr(result, "n_images", None), getattr(result, "data", None)
    mode = one.page.mode if isinstance(one.page.mode, str) else one.page.mode(lane)
    words = [lane.skew, lane.normalised, mode]
    if isinstance(n, int) and data:
        split = getattr(result, "images", one.ask.split)
        words.insert(0, f"{n:,} {IMAGES.get(split, 'images')} of {data}")
    elif isinstance(image := getattr(result, "image", None), str):
        words.insert(0, f"{image} of {data}")
    if hasattr(result, "statistics") and not getattr(
        result, "recalibrated", 0
    ):  # the mode says how
        words.append(
            text.norms(result, step=one.page.step or result.by_the_batch).removeprefix(", ")
        )
    lines.append(fill("; ".join(word for word in words if word) + ".", WIDTH))
    return "\n".join(lines) + "\n"


def _finite(value: Any) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)
