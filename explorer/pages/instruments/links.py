"""What the Instruments page shows, to and from the address, and worked out for the page.

A link reads ``?nets=digits_plain_56,run:abcd.0,resnet_v2_20&instrument=gradients;of=outputs&n=50``.
What cannot be read becomes a sentence and the default; nothing in a link can crash the page.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from explorer.errors import SkipscopeError, SpecError
from explorer.pages.instruments import DEFAULT, Instrument, instrument
from explorer.pages.instruments.controls import Present
from explorer.pages.server.visitors import data_info
from explorer.pages.shared.plans import plan_of
from explorer.pages.shared.sources import SourceNet, no_net, source_net, token_of_lane, told_apart
from explorer.pages.shared.state import PageState, data_token, parse_data
from explorer.runs.serve.service import RunService
from explorer.structure.specs import MAX_LANES, MAX_SEED, SEED, DataSpec
from explorer.system.bounded import parameters, whole_number

DEFAULT_NETS = ("digits_plain_56", "digits_resnet_v2_56")
CONTROLS = {
    "nets": "the nets",
    "images": "the images",
    "instrument": "the choice of instrument",
    "options": "its options",
}
MOST_IMAGES = 1_000_000
T = TypeVar("T")


@dataclass(frozen=True)
class Look:
    """The choices of one page view, as the link has them.

    Attributes:
        nets: Tokens (:mod:`explorer.pages.shared.sources`).
        chosen: Texts of the options that are not at their default.
        data: None measures each net on what it was trained on, else on the digits.
        n_images: None takes the instrument's own number.
        again: Whether what is kept with shipped weights is measured all the same.
        hide: Of ``CONTROLS``: what this page leaves out, for a class.
    """

    nets: tuple[str, ...] = DEFAULT_NETS
    instrument: str = DEFAULT
    chosen: Mapping[str, str] = field(default_factory=dict)
    data: DataSpec | None = None
    n_images: int | None = None
    seed: int = SEED
    again: bool = False
    hide: tuple[str, ...] = ()

    def with_option(self, name: str, text: str | None) -> Look:
        """Another value of one option; None takes its default."""
        rest = {key: value for key, value in self.chosen.items() if key != name}
        return replace(self, chosen=rest if text is None else {**rest, name: text})

    def with_nets(self, nets: tuple[str, ...]) -> Look:
        """Other nets; what was done to the blocks of the old ones stays with those."""
        rest = {name: text for name, text in self.chosen.items() if name != "hand"}
        return replace(self, nets=nets, chosen=rest)

    def with_instrument(self, key: str) -> Look:
        return replace(self, instrument=key, chosen={}, again=False)


def to_query(look: Look) -> dict[str, str]:
    """The address's parameters; what is at its default is left out, but never the nets."""
    options = [f"{name}={text}" for name, text in sorted(look.chosen.items())]
    query = {"nets": ",".join(look.nets), "instrument": ";".join([look.instrument, *options])}
    if look.data is not None:
        query["data"] = data_token(look.data)
    if look.n_images is not None:
        query["n"] = str(look.n_images)
    if look.seed != SEED:
        query["seed"] = str(look.seed)
    if look.again:
        query["again"] = "yes"
    if look.hide:
        query["hide"] = ".".join(look.hide)
    return query


def look_inside(state: PageState, lanes: Sequence[int]) -> dict[str, str]:
    """The link from Compare to its lanes here: their present weights, images and seed."""
    own = state.run is not None or state.data == DataSpec()
    return to_query(
        Look(
            nets=tuple(token_of_lane(state, lane) for lane in lanes),
            data=None if own else state.data,
            seed=state.seed,
        )
    )


def look_at_image(state: PageState, lanes: Sequence[int], key: str) -> dict[str, str]:
    """The link from Compare to an instrument that looks at one image, with that image.

    A block that is deleted there, the only one, is left out here too.
    """
    look, _ = from_query(look_inside(state, lanes))
    look = look.with_instrument(key)
    if state.own:
        look = look.with_option("own", state.own)
    elif state.image:
        look = look.with_option("image", str(state.image))
    cuts = {unit for lane in lanes for unit in _cut_names(state, lane)}
    if len(cuts) == 1 and any(option.name == "without" for option in instrument(key).options):
        look = look.with_option("without", cuts.pop())
    return to_query(look)


def _cut_names(state: PageState, lane: int) -> list[str]:
    units = plan_of(state.lanes[lane]).units
    return [units[i].name for i in state.cut(lane) if i < len(units)]


def from_query(query: Mapping[str, str]) -> tuple[Look, list[str]]:
    """The look that a link describes, and one sentence for each thing it could not use."""
    query, problems = parameters(query)

    def attempt(key: str, read: Callable[[str], T], usual: T) -> T:
        if not query.get(key):
            return usual
        try:
            return read(query[key])
        except SkipscopeError as error:
            problems.append(f"The link's {key!r} was left out: {error}")
            return usual

    nets = tuple(token.strip() for token in query.get("nets", "").split(",") if token.strip())
    if len(nets) > MAX_LANES:
        problems.append(f"The link names {len(nets)} nets; the first {MAX_LANES} are shown.")
    usual: tuple[str, dict[str, str]] = (DEFAULT, {})
    key, chosen = attempt("instrument", _read_instrument, usual)
    return (
        Look(
            nets=nets[:MAX_LANES] or DEFAULT_NETS,
            instrument=key,
            chosen=chosen,
            data=attempt("data", _read_data, None),
            n_images=attempt("n", lambda text: whole_number(text, "n", 1, MOST_IMAGES), None),
            seed=attempt("seed", lambda text: whole_number(text, "seed", 0, MAX_SEED), SEED),
            again=attempt("again", _read_again, False),
            hide=attempt("hide", _read_hidden, ()),
        ),
        problems,
    )


def _read_instrument(text: str) -> tuple[str, dict[str, str]]:
    key, *parts = text.split(";")
    one = instrument(key)
    chosen = {}
    for part in parts:
        name, _, value = part.partition("=")
        if name in one.was:
            name, texts = one.was[name]
            value = texts.get(value, value)
        if name:
            chosen[name] = value
    return one.key, chosen


def _read_data(text: str) -> DataSpec | None:
    data = parse_data(text)
    data_info(data)
    return data


def _read_again(text: str) -> bool:
    if text != "yes":
        raise SpecError(f"again must be yes, not {text[:40]!r}.")
    return True


def _read_hidden(text: str) -> tuple[str, ...]:
    named = text.split(".")
    for part in named:
        if part not in CONTROLS:
            raise SpecError(f"hide must be some of {', '.join(CONTROLS)}, not {part[:40]!r}.")
    return tuple(control for control in CONTROLS if control in named)


# ------------------------------------------------------------------------------- worked out


@dataclass(frozen=True)
class Scene:
    """A look with its nets found and its options read.

    Attributes:
        nets: Those of the look that could be found, in order.
        subjects: What is measured: the nets, or a stand-in where the instrument needs none.
        refused: By position in ``subjects``: why the instrument means nothing for that one, or
            why it cannot be measured as things are.
        options: A value for each option of the instrument.
    """

    look: Look
    instrument: Instrument
    nets: tuple[SourceNet, ...]
    subjects: tuple[SourceNet, ...]
    refused: Mapping[int, str]
    options: Mapping[str, Any]
    present: Present


def _why_not(one: Instrument, net: SourceNet) -> str | None:
    unfit = one.declared.ask.not_for(net.plan) if net.plan is not None else None
    return unfit or net.problem


def scene(
    service: RunService, look: Look, *, narrow: bool = False, patience: float = 0.0
) -> tuple[Scene, list[str]]:
    """The nets and options of a look, and a sentence for each that cannot be used.

    Args:
        narrow: Whether the figure is on a narrow screen.
        patience: Seconds to wait for the structure of another library's net.
    """
    problems: list[str] = []
    nets: list[SourceNet] = []
    for token in look.nets:
        try:
            nets.append(source_net(service, token, look.data, look.seed, patience=patience))
        except SkipscopeError as error:
            problems.append(f"The net {token[:60]!r} was left out: {error}")
    shown = told_apart(nets)
    one = instrument(look.instrument)
    subjects = shown if one.needs_net else [no_net(one.page.title, look.data, look.seed)]
    refused = {
        index: why for index, net in enumerate(subjects) if (why := _why_not(one, net)) is not None
    }
    fitting = [net for index, net in enumerate(subjects) if index not in refused]
    present = Present(
        plans=tuple(net.plan for net in fitting if net.plan is not None),
        classes=fitting[0].info.classes if fitting else (),
    )
    options = {"narrow": narrow, **{o.name: o.usual(present) for o in one.options}}
    for name, text in look.chosen.items():
        try:
            options[name] = one.option(name).read(text, present)
        except SkipscopeError as error:
            if fitting:
                problems.append(f"The link's {name!r} was left out: {error}")
    return Scene(look, one, tuple(shown), tuple(subjects), refused, options, present), problems
