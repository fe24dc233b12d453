"""An instrument on its page: its declaration, with controls, and with a job for each net."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from importlib import import_module
from typing import Any

import plotly.graph_objects as go

from explorer import instruments as declared
from explorer.drawing import Theme
from explorer.errors import NotApplicableError, SpecError
from explorer.instruments.contract import Ask, Column, Lane, Page, Picture, Result, Style
from explorer.instruments.contract import Option as Declared
from explorer.instruments.doors import shell
from explorer.instruments.doors.calling import Work, measured
from explorer.instruments.doors.trainings import of_shipped
from explorer.pages.instruments.controls import (
    Choice,
    Control,
    Flag,
    Number,
    Options,
    Several,
    UnitPick,
    Whole,
)
from explorer.pages.instruments.picks import IMAGE, OWN, WITHOUT
from explorer.runs.serve.service import RunService
from explorer.structure.blueprint import Blueprint
from explorer.structure.specs import DataInfo, DataSpec

Row = Mapping[str, str | int | float | None]


@dataclass(frozen=True)
class Asking:
    """What a payload is built from.

    Attributes:
        index: The net's place on the page.
        source: Where the job finds the net (:mod:`explorer.runs.serve.requests`); empty where the
            instrument needs none.
        data: The images; always told, also where a person left it to the net.
        n_images: None takes the instrument's own number.
        seed: Of what is drawn at random, such as which units are deleted.
        options: A value for each of the instrument's controls.
    """

    index: int
    source: dict[str, Any]
    data: DataSpec
    n_images: int | None
    seed: int
    options: Options
    plan: Blueprint | None


@dataclass(frozen=True)
class Instrument:
    """A declared instrument with what a page needs beside its words (:attr:`page`)."""

    declared: declared.Instrument

    @property
    def key(self) -> str:
        """Names it in links, and its job."""
        return self.declared.name

    @property
    def page(self) -> Page[Any, Any, Any]:
        return self.declared.page

    # -------------------------------------------------------------------------------- controls

    @cached_property
    def options(self) -> tuple[Control, ...]:
        """Its controls: of the image first, where it looks at one, then of what is declared."""
        ask = self.declared.ask
        of_image: tuple[Control, ...] = (IMAGE, OWN) if ask.subject == "image" else ()
        if ask.subject == "image" and ask.deletes:
            of_image = (*of_image, WITHOUT)
        return (*of_image, *(control(option) for option in self._offered))

    @cached_property
    def was(self) -> dict[str, tuple[str, Mapping[str, str]]]:
        """Earlier options of links: by name, today's option, and its text by the link's where
        that differs."""
        found: dict[str, tuple[str, Mapping[str, str]]] = {}
        for option in self._offered:
            write = control(option).write
            for old, texts in option.told.was.items():
                found[old] = (option.name, {text: write(value) for text, value in texts.items()})
        return found

    @property
    def _offered(self) -> list[Declared]:
        return [option for option in self.declared.options if option.at("page")]

    def option(self, name: str) -> Control:
        """Raises :class:`SpecError`."""
        for option in self.options:
            if option.name == name:
                return option
        known = ", ".join(option.name for option in self.options) or "none"
        raise SpecError(
            f"The instrument {self.key!r} has no option {name[:40]!r}; it has: {known}."
        )

    def asked(self, options: Options) -> Ask:
        """What the controls say; a text is read as the shell reads it, and an empty one is none.

        Raises:
            SpecError: One sentence.
        """
        given = dict(options)
        for option in self.declared.ask.options():
            if option.at("page") and not option.told.when(options):
                given.pop(option.name, None)  # its control is not there
            value = given.get(option.name)
            if option.told.pick is not None and isinstance(value, str):
                read = option.told.read or str
                given[option.name] = read(value) if value else None
        return self.declared.asked(given)

    # ---------------------------------------------------------------------------- what is asked

    @property
    def needs_net(self) -> bool:
        """False for what is asked of no net in particular, such as an instrument that builds small
        nets of its own; its lanes are then one, named by its title, without plan."""
        return self.declared.ask.subject not in ("data", "none")

    @property
    def takes_images(self) -> bool:
        """False where a number of images means nothing."""
        return any(option.name == "n_images" for option in self.declared.options)

    @property
    def split(self) -> str:
        """Which images are measured, where the result does not say."""
        ask = self.declared.ask
        return ask.split if ask.subject in ("net", "data") else ""

    @property
    def is_recorded(self) -> bool:
        """Whether the result is no measurement, but what a training has recorded."""
        return self.declared.ask.subject == "training"

    def recorded(self, service: RunService, source: Mapping[str, Any], options: Options) -> Result:
        """What a training recorded of a lane, or of a shipped net.

        Raises:
            NotApplicableError: The net is neither, or nothing is kept of its training.
            RunError: Nothing was recorded yet.
        """
        match source.get("source"):
            case "run":
                training = service.recorded_training(source["experiment"], source["lane"])
            case "shipped":
                training = of_shipped(source["name"])
            case _:
                raise NotApplicableError(
                    "Only a training that was recorded has a history: choose a shipped net or a "
                    "lane of a run, or train this net on the Compare page."
                )
        return measured(self.declared, self.declared.asked(options), Work(), training=training)

    def payload(self, asking: Asking) -> dict[str, Any]:
        """Of the job: what it is measured on, and every option.

        Raises:
            SkipscopeError: One sentence: why this cannot be asked of that net.
        """
        given = {**asking.options, "seed": asking.seed, "n_images": asking.n_images}
        names = () if asking.plan is None else tuple(unit.name for unit in asking.plan.units)
        for option in self.declared.ask.options():  # blocks that this net has not are not chosen
            picks_unit = option.told.pick is not None and isinstance(control(option), UnitPick)
            if picks_unit and given.get(option.name) not in names:
                given.pop(option.name, None)
        ask = self.asked(given).for_net(asking.plan, asking.index)
        subject = self.declared.ask.subject
        on: dict[str, Any] = {}
        if subject in ("net", "weights", "image"):
            on["net"] = asking.source
        if subject in ("net", "data", "image"):
            on["data"] = asking.data.model_dump(mode="json")
        if subject == "image":
            own, without = asking.options["own"], asking.options.get("without", "")
            on["index"] = None if own else asking.options["image"]
            on["image_path"] = own or None
            on["deleted"] = [without] if without in names else []
        return {**on, **ask.model_dump(mode="json")}

    # --------------------------------------------------------------------- what comes of it

    def lane(
        self,
        index: int,
        name: str,
        plan: Blueprint | None,
        info: DataInfo,
        answer: Mapping[str, Any],
        done: bool = True,
    ) -> Lane[Any]:
        """A net with a job's answer, whole or partial: the result's JSON, and the weights' step."""
        result = self.declared.result.from_json(dict(answer))
        said = {key: str(answer.get(key, "")) for key in ("normalised", "skew")}
        return Lane(index, name, plan, info, result, done, answer.get("step"), **said)

    def chosen(self, lane: Lane[Any], options: Options) -> Lane[Any]:
        """The lane with what of its result the options choose, such as one class's images."""
        choose = self.page.chosen
        return lane if choose is None else replace(lane, result=choose(lane, *self._of(options)))

    def figure(self, lanes: Sequence[Lane[Any]], options: Options, theme: Theme) -> go.Figure:
        """``options["narrow"]`` tells a phone's width."""
        style = Style(theme, narrow=bool(options.get("narrow")))
        return self.declared.figure(lanes, *self._of(options), style)

    def caption(self, lanes: Sequence[Lane[Any]], options: Options) -> list[str]:
        return self.page.caption(lanes, *self._of(options))

    def formula(self, lanes: Sequence[Lane[Any]], options: Options) -> list[str]:
        return self.page.formula(lanes, *self._of(options))

    def pictures(self, lanes: Sequence[Lane[Any]], options: Options) -> list[Picture]:
        return self.page.pictures(lanes, *self._of(options))

    def headline(self, lane: Lane[Any], options: Options) -> tuple[str, str]:
        head = self.page.headline
        return ("", "") if head is None else head(lane, *self._of(options))

    def own_weights(self, lane: Lane[Any], options: Options) -> bool:
        own = self.page.own_weights
        return True if own is None else own(lane, *self._of(options))

    def mode(self, lane: Lane[Any]) -> str:
        mode = self.page.mode
        return mode if isinstance(mode, str) else mode(lane)

    def table(self, result: Result) -> list[Row]:
        """The result's rows, for people and screen readers; every row has the same columns."""
        rows = result if self.page.table is None else self.page.table(result)
        return [
            {
                column.title: _rounded(column, value)
                for column, value in zip(rows.columns, row, strict=True)
                if column.shown
            }
            for row in rows.rows()
        ]

    def _of(self, options: Options) -> tuple[Any, Any]:
        return self.asked(options), self.declared.shown(options)


def control(option: Declared) -> Control:
    """The page's control of an option.

    Raises:
        TypeError: None can be derived; the declaration has to ``pick`` one.
    """
    told, name = option.told, option.name
    label = f"{told.label}, %" if told.percent else told.label
    words = option.help[:1].upper() + option.help[1:] or None
    if words is not None and not words.endswith((".", "?")):
        words += "."
    if told.pick is not None:
        module, _, attribute = told.pick.partition(":")
        picked: Control = getattr(import_module(module), attribute)
        return picked
    if option.kind == "flag":
        return Flag(name, label, option.default, words, told.when)
    if option.kind == "choice":
        return Choice(name, label, option.choices, words, told.when, option.default, told.formerly)
    if option.kind == "choices":
        return Several(name, label, option.choices, words, told.when)
    if option.kind in ("whole", "number") and option.default is not None:
        least = option.least if option.above is None else option.above
        if least is not None and option.most is not None:
            if option.kind == "whole":
                step = int(told.step or 1)
                bounds = int(least), int(option.most)
                return Whole(name, label, option.default, *bounds, step, words, told.when)
            step_of = told.step or (option.most - least) / 100
            return Number(
                name,
                label,
                option.default,
                least if option.above is None else least + step_of,
                option.most,
                step_of,
                words,
                told.when,
                told.slider,
                100 if told.percent else 1,
            )
    raise TypeError(
        f"no control can be derived for the option {name!r}: give it a default and a range, "
        "`pick` a control, or leave the page out of its doors"
    )


def _rounded(column: Column, value: Any) -> str | int | float | None:
    """A value of the page's table: a number as far as it is worth, or its words."""
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        return float(shell.cell(column, value))
    if value is None or (isinstance(value, (int, str)) and not isinstance(value, bool)):
        return value
    return shell.cell(column, value)
