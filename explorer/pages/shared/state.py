"""Everything chosen on the page, to and from the address: the link is the only state there is.

A link reads ``?lanes=plain_56,resnet_v2_56&data=digits&train=one_cycle;steps=500&seed=7``: nets,
data and training are a name with ``;field=value`` changes. What cannot be read becomes a sentence
and the default; nothing in a link can crash the page.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, Literal, get_args
from urllib.parse import quote, unquote

from explorer.errors import SkipscopeError, SpecError
from explorer.pages.server.visitors import check_folder, data_info
from explorer.pages.shared.plans import plan_of
from explorer.runs.serve.pictures import is_picture
from explorer.structure.names import spec_of, title_of, token_of
from explorer.structure.specs import (
    MAX_LANES,
    MAX_SEED,
    MAX_STEPS,
    RECIPES,
    SEED,
    DataInfo,
    DataSpec,
    ExperimentSpec,
    NetSpec,
    Spec,
    TrainSpec,
    fit,
    parse,
)
from explorer.system.bounded import MOST_INDEX, json_or_text, parameters, whole_number

Colour = Literal["gradient", "gate", "lesion"]
Device = Literal["auto", "cpu", "cuda", "mps"]
Curve = Literal["error", "loss"]
GradientOf = Literal["parameters", "outputs"]
# What a link may leave out, so that a class sees only what the lesson is about.
Control = Literal["start", "data", "training", "nets", "play", "colour", "charts", "image"]

# Deeper is worse, and with shortcuts it is not: what three times the steps do not take back.
DEFAULT_LANES = ("plain_20", "plain_110", "resnet_v2_110")


@dataclass(frozen=True)
class PageState:
    """The choices of one page view.

    Attributes:
        lanes: Nets, already fitted to the data's shape and classes.
        deleted: For every lane the indices of its deleted units.
        run: The experiment that the page follows; None before Play.
        image: Index into the test images.
        own: Name of an image of the visitor's own (:mod:`explorer.runs.serve.pictures`), which
        stands
            for the test image; empty for none.
        at: Step of the run that is looked at, or of the training of shipped nets; None follows
            the latest.
        hide: Controls that this page leaves out; in the order of ``Control``.
    """

    lanes: tuple[NetSpec, ...]
    data: DataSpec = field(default_factory=DataSpec)
    training: TrainSpec = RECIPES["one_cycle"]
    seed: int = SEED
    device: Device = "auto"
    run: str | None = None
    deleted: tuple[tuple[int, ...], ...] = ()
    colour: Colour = "gradient"
    curve: Curve = "error"
    gradient_of: GradientOf = "parameters"
    image: int = 0
    own: str = ""
    at: int | None = None
    hide: tuple[Control, ...] = ()
    info: DataInfo = field(default_factory=lambda: data_info(DataSpec()))

    def with_lanes(self, lanes: tuple[NetSpec, ...]) -> PageState:
        """Other nets: the run that belonged to the old ones is left, their deletions too."""
        fitted = tuple(fit(n, self.info.input_shape, len(self.info.classes)) for n in lanes)
        kept = tuple(
            self.cut(i) if i < len(self.lanes) and self.lanes[i] == net else ()
            for i, net in enumerate(fitted)
        )
        return replace(self, lanes=fitted, deleted=kept, run=None)

    def with_data(self, data: DataSpec) -> PageState:
        """Other images: every net is fitted to their shape and classes."""
        info = data_info(data)
        return replace(self, data=data, info=info, image=0).with_lanes(self.lanes)

    def cut(self, lane: int) -> tuple[int, ...]:
        return self.deleted[lane] if lane < len(self.deleted) else ()

    def with_cut(self, lane: int, units: tuple[int, ...]) -> PageState:
        rows = [self.cut(i) for i in range(len(self.lanes))]
        rows[lane] = tuple(sorted(set(units)))
        return replace(self, deleted=tuple(rows))

    def experiment(self) -> ExperimentSpec:
        return ExperimentSpec(
            lanes=self.lanes,
            data=self.data,
            training=self.training,
            seed=self.seed,
            device=self.device,
        )

    def of_experiment(self, spec: ExperimentSpec) -> PageState:
        """The same view of another experiment."""
        moved = replace(
            self,
            lanes=spec.lanes,
            data=spec.data,
            training=spec.training,
            seed=spec.seed,
            device=spec.device,
            info=data_info(spec.data),
        )
        return moved if spec.lanes == self.lanes else replace(moved, deleted=())


# ------------------------------------------------------------------------------------ tokens


def _token(name: str, spec: Spec, base: Spec, leave_out: tuple[str, ...]) -> str:
    own, usual = spec.model_dump(mode="json"), base.model_dump(mode="json")
    parts = [name]
    for key, value in own.items():
        if key not in leave_out and value != usual[key]:
            written = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
            parts.append(f"{key}={quote(written, safe='/.,[]')}")
    return ";".join(parts)


def _changes(token: str) -> tuple[str, dict[str, Any]]:
    name, *parts = token.split(";")
    changes: dict[str, Any] = {}
    for part in parts:
        key, equals, value = part.partition("=")
        if not equals:
            raise SpecError(f"{part[:40]!r} in {token[:60]!r} should read field=value.")
        changes[key] = json_or_text(unquote(value))
    return name, changes


def data_token(data: DataSpec) -> str:
    return _token(data.name, data, DataSpec(), ("name",))


def parse_data(token: str) -> DataSpec:
    """The images of a token.

    Raises:
        SkipscopeError: There are none such, or it is a folder that this asker may not choose.
    """
    name, changes = _changes(token)
    data = parse(DataSpec, {**changes, "name": name})
    check_folder(data)
    return data


def training_token(training: TrainSpec) -> str:
    base = RECIPES.get(training.recipe, RECIPES["one_cycle"])
    return _token(base.recipe, training, base, ("recipe",))


def parse_training(token: str) -> TrainSpec:
    name, changes = _changes(token)
    if name not in RECIPES:
        raise SpecError(f"There is no recipe {name[:40]!r}; choose one of {', '.join(RECIPES)}.")
    return parse(TrainSpec, {**RECIPES[name].model_dump(), **changes, "recipe": name})


# -------------------------------------------------------------------------------------- link


def to_query(state: PageState) -> dict[str, str]:
    """The address's parameters; what is at its default is left out, but never the lanes."""
    query = {"lanes": ",".join(token_of(net) for net in state.lanes)}
    usual = PageState(lanes=state.lanes)
    if state.data != usual.data:
        query["data"] = data_token(state.data)
    if state.training != usual.training:
        query["train"] = training_token(state.training)
    for key in ("seed", "device", "colour", "curve", "gradient_of", "image", "own"):
        value = getattr(state, key)
        if value != getattr(usual, key):
            query[key] = str(value)
    if any(state.deleted):
        query["cut"] = "|".join(
            f"{lane}:{'.'.join(map(str, units))}"
            for lane, units in enumerate(state.deleted)
            if units
        )
    if state.run:
        query["run"] = state.run
    if state.at is not None:
        query["at"] = str(state.at)
    if state.hide:
        query["hide"] = ".".join(state.hide)
    return query


def without_stale_step(before: PageState, after: PageState) -> PageState:
    """A page that shows another training than before looks at its latest step."""

    def shows(state: PageState) -> tuple[object, ...]:
        return state.run, state.lanes, state.data, state.training, state.seed

    return after if shows(before) == shows(after) else replace(after, at=None)


@cache
def default_state() -> PageState:
    info = data_info(DataSpec())
    nets = tuple(fit(spec_of(name), info.input_shape, len(info.classes)) for name in DEFAULT_LANES)
    return PageState(lanes=nets, info=info)


def from_query(query: Mapping[str, str]) -> tuple[PageState, list[str]]:
    """The page that a link describes, and one sentence for each thing it could not use."""
    query, problems = parameters(query)
    state = default_state()

    def attempt(key: str, read: Any) -> Any:
        """``read(text)`` of one parameter; None, with a sentence noted, where it fails."""
        if key not in query:
            return None
        try:
            return read(query[key])
        except SkipscopeError as error:
            problems.append(f"The link's {key!r} was left out: {error}")
        return None

    training = attempt("train", parse_training)
    seed = attempt("seed", lambda text: whole_number(text, "seed", 0, MAX_SEED))
    device = attempt("device", lambda text: _one_of(text, "device", get_args(Device)))
    state = replace(
        state,
        training=training or state.training,
        seed=state.seed if seed is None else seed,
        device=device or state.device,
    )
    data = attempt("data", lambda text: (parse_data(text), data_info(parse_data(text)))[0])
    if data is not None:
        state = state.with_data(data)
    if "lanes" in query:
        state = _read_lanes(state, query["lanes"], problems)
    colour = attempt("colour", lambda text: _one_of(text, "colour", get_args(Colour)))
    curve = attempt("curve", lambda text: _one_of(text, "curve", get_args(Curve)))
    of = attempt("gradient_of", lambda text: _one_of(text, "gradient_of", get_args(GradientOf)))
    image = attempt("image", lambda text: whole_number(text, "image", 0, MOST_INDEX))
    state = replace(
        state,
        colour=colour or state.colour,
        curve=curve or state.curve,
        gradient_of=of or state.gradient_of,
        image=image or 0,
        own=attempt("own", _read_own) or "",
        run=query.get("run") or None,
        at=attempt("at", lambda text: whole_number(text, "step", 0, MAX_STEPS)),
    )
    state = replace(state, hide=attempt("hide", _read_hidden) or ())
    cuts = attempt("cut", read_cuts)
    for lane, units in (cuts or {}).items():
        if lane >= len(state.lanes):
            problems.append(f"The link deletes blocks of net {lane + 1}, which is not here.")
            continue
        plan = plan_of(state.lanes[lane])
        possible = tuple(u for u in units if u < len(plan.units) and plan.units[u].deletable)
        if possible != units:
            problems.append(
                f"Some blocks that the link deletes were left in: "
                f"{title_of(plan.spec)} has {len(plan.units)}, counted from 0, and not all can go."
            )
        state = state.with_cut(lane, possible)
    return state, problems


def _read_lanes(state: PageState, text: str, problems: list[str]) -> PageState:
    nets: list[NetSpec] = []
    tokens = [token for token in text.split(",") if token.strip()]
    if len(tokens) > MAX_LANES:
        problems.append(f"The link names {len(tokens)} nets; the first {MAX_LANES} are shown.")
    for token in tokens[:MAX_LANES]:
        try:
            net = spec_of(token.strip())
            nets.append(fit(net, state.info.input_shape, len(state.info.classes)))
        except SkipscopeError as error:
            problems.append(f"The net {token.strip()[:60]!r} was left out: {error}")
    return replace(state, lanes=tuple(nets), deleted=()) if nets else state


def _read_own(text: str) -> str:
    if not is_picture(text):
        raise SpecError(
            f"own must be the name of an image that was chosen here, not {text[:40]!r}: choose the "
            "file again."
        )
    return text


def _read_hidden(text: str) -> tuple[Control, ...]:
    named = {_one_of(part, "hide", get_args(Control)) for part in text.split(".") if part}
    return tuple(control for control in get_args(Control) if control in named)


def _one_of(text: str, name: str, allowed: tuple[str, ...]) -> str:
    if text not in allowed:
        raise SpecError(f"{name} must be one of {', '.join(allowed)}, not {text[:40]!r}.")
    return text


def read_cuts(text: str) -> dict[int, tuple[int, ...]]:
    """Indices of deleted units by lane, from ``1:3.12|2:0``; raises :class:`SpecError`."""
    cuts: dict[int, tuple[int, ...]] = {}
    for part in text.split("|"):
        lane, colon, units = part.partition(":")
        if not colon:
            raise SpecError(f"{part[:40]!r} should read LANE:BLOCK.BLOCK, such as 1:3.12.")
        cuts[whole_number(lane, "lane", 0, MAX_LANES - 1)] = tuple(
            whole_number(unit, "block", 0, 10_000) for unit in units.split(".") if unit
        )
    return cuts
