"""What an instrument declares; every door is derived from it.

An instrument is one folder (:mod:`explorer.instruments` tells which files). In ``ask.py`` a class
``Ask`` says what can be asked and a class ``Show`` what is only drawn: each option is one line,
:func:`option`, with its default, range and words, and all doors take it from there: the flag of the
command with its help, the argument of the Python function, the field of the job, the control on the
page with its word in the link. In ``result.py`` a dataclass says what comes out, and its columns
what is a table of it.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    Generic,
    Literal,
    Protocol,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

from pydantic import Field, model_validator
from pydantic.fields import FieldInfo

from explorer.structure.blueprint import Blueprint
from explorer.structure.specs import MAX_SEED, SEED, DataInfo, Spec

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go

    from explorer.results import Record

Group = Literal["blocks", "gradients", "responses", "gates", "paths", "features", "start", "loss"]
Subject = Literal["net", "weights", "image", "data", "training", "none"]
Theme = Literal["light", "dark"]
Kind = Literal["flag", "choice", "whole", "number", "wholes", "numbers", "choices", "texts", "text"]
Values = Mapping[str, Any]


# ----------------------------------------------------------------------------------- options


def always(values: Values) -> bool:
    return True


@dataclass(frozen=True)
class Told:
    """What an option's type cannot say.

    Attributes:
        label: Beside its control.
        words: Of a choice, in words by value; of a number, of values that are no number.
        when: Whether it means something, given the others; the page hides it where it does not.
        step: Of a number's control.
        slider: Whether the page draws a number as one, where the way there says as much.
        percent: Whether the page and its links have a share as so many per cent.
        doors: Where it is offered; a job takes it in any case.
        flags: What the shell also calls it, such as an earlier name; ``sorted=size`` is a flag
            ``--sorted`` for the value ``size``.
        formerly: Of a choice, earlier words for values of today, by word.
        bare: Whether the shell takes its values as the command's words, without a flag.
        was: Earlier words in links: by name, the option's value by the link's text.
        pick: The page's control, where none can be derived (an option of
            :mod:`explorer.pages.instruments.controls`, named ``module:NAME``).
        read: From the shell's text to the value, where that cannot be derived.
        each: Whether the shell takes it once for all nets, or once for each.
    """

    label: str
    words: Mapping[str, str] = field(default_factory=dict)
    when: Callable[[Values], bool] = always
    step: float | None = None
    slider: bool = False
    percent: bool = False
    doors: frozenset[str] = frozenset({"page", "shell", "python"})
    flags: tuple[str, ...] = ()
    formerly: Mapping[str, str] = field(default_factory=dict)
    bare: bool = False
    was: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    pick: str | None = None
    read: Callable[[str], Any] | None = None
    each: bool = False


def option(
    default: Any,
    label: str,
    help: str = "",
    *,
    least: float | None = None,
    most: float | None = None,
    above: float | None = None,
    words: Mapping[str, str] | None = None,
    when: Callable[[Values], bool] = always,
    step: float | None = None,
    slider: bool = False,
    percent: bool = False,
    doors: Sequence[str] = ("page", "shell", "python"),
    flags: Sequence[str] = (),
    formerly: Mapping[str, str] | None = None,
    bare: bool = False,
    was: Mapping[str, Mapping[str, Any]] | None = None,
    pick: str | None = None,
    read: Callable[[str], Any] | None = None,
    longest: int | None = None,
    each: bool = False,
) -> Any:
    """One option of an instrument, in a class ``Ask`` or ``Show``.

    Its name and type are the field's: ``bool`` is a switch, ``Literal`` a choice, ``int`` and
    ``float`` numbers, a ``tuple`` of these several; ``| None`` is for "the instrument decides",
    which then is the default.

    Args:
        help: One sentence or less, without the default and the range, which are added. It says what
            the option is, as the shell and Python print it without the label.
        least, most: The range, ends included; of a tuple, of its entries.
        above: Instead of ``least``, where that end is left out.
        longest: Of a tuple, its most entries.

    The others are :class:`Told`'s.
    """
    told = Told(
        label,
        dict(words or {}),
        when,
        step,
        slider,
        percent,
        frozenset(doors),
        tuple(flags),
        dict(formerly or {}),
        bare,
        dict(was or {}),
        pick,
        read,
        each,
    )
    several = isinstance(default, tuple)
    return Field(
        default,
        ge=None if several else least,
        gt=None if several else above,
        le=None if several else most,
        min_length=1 if several and default else None,
        max_length=longest,
        description=help,
        json_schema_extra=cast(Any, {"told": told, "range": (least, above, most)}),
    )


@dataclass(frozen=True)
class Option:
    """One option as the doors see it.

    Attributes:
        kind: What its values are; ``whole`` are whole numbers, a plural is a tuple of them.
        optional: Whether None is a value, and then the default.
        choices: Words by value, of a choice.
        least, above, most: The range of a number, or of each number.
        shown: Whether it is only drawn (of ``Show``), or measured (of ``Ask``).
    """

    name: str
    kind: Kind
    type: Any
    default: Any
    optional: bool
    help: str
    told: Told
    choices: Mapping[str, str]
    least: float | None
    above: float | None
    most: float | None
    shown: bool

    def at(self, door: str) -> bool:
        return door in self.told.doors


class Options(Spec):
    """Base of every ``Ask`` and ``Show``."""

    @model_validator(mode="before")
    @classmethod
    def _none_is_the_default(cls, value: Any) -> Any:
        """None asks for the default of any option."""
        if not isinstance(value, dict):
            return value
        fields = cls.model_fields
        return {
            name: _of_today(fields.get(name), given)
            for name, given in value.items()
            if given is not None or name not in fields or fields[name].is_required()
        }

    @model_validator(mode="after")
    def _entries_in_range(self) -> Options:
        """Of a tuple each entry, as of a number the number."""
        for name, info in type(self).model_fields.items():
            extra, values = info.json_schema_extra, getattr(self, name)
            if isinstance(extra, dict) and "range" in extra and isinstance(values, tuple):
                least, above, most = cast(Any, extra["range"])
                for value in values:
                    if isinstance(value, (int, float)) and not (
                        (least is None or value >= least)
                        and (above is None or value > above)
                        and (most is None or value <= most)
                    ):
                        allowed = _allowed(least, above, most)
                        raise ValueError(f"each of {name} must be {allowed}, not {value:g}")
        return self

    @classmethod
    def options(cls) -> tuple[Option, ...]:
        """In the order in which they are declared."""
        return _options_of(cls)


class Ask(Options):
    """What can be asked of an instrument: its docstring is the command's summary and help.

    Attributes:
        subject: What it is measured on. ``net``: one net and images. ``weights``: one net, no
            images. ``image``: one net and one image, with some units left out. ``data``: images
            alone; the instrument makes its own nets. ``training``: what a training recorded of one
            of its nets, which is no job: it is read, and by the server, so that its ``measure``
            imports no torch. ``none``: nothing.
        deletes: Of ``image``: whether units can be left out.
        split: Which images are measured, where there are some.
        priority: Whether a person waits for it (``click``: answered in the middle of a
            ``sweep``), or it takes its time.
        keeps: Where what was measured so far is kept and gone on from: the folder in Skipscope's,
            and the key of the file of ``--keep``. ``measure.py`` then has ``question(net, data,
            ask)``, everything that the values depend on; ``job.known`` is what there is.
        was: Earlier names: of the page, the job and the Python function, of a command with its
            view (``gradients --view terms``), or with a flag of its own (``x --example``).
        not_in_python: Those of them that mean something else there.
        views: Earlier commands with their view (``paths --view toy``), and the flags that say the
            same today.
        examples: Lines of the command's help, without ``skipscope``.
        about: Ends the command's help, such as sentences of the table of claims.
        without_nets: The instrument that the command shows where no net is named; none where one
            has to be.
        flags: Earlier flags of the command that take several options' values at once: by name,
            those options.
    """

    subject: ClassVar[Subject] = "net"
    deletes: ClassVar[bool] = True
    split: ClassVar[Literal["test", "train"]] = "test"
    priority: ClassVar[Literal["click", "sweep"]] = "click"
    keeps: ClassVar[str] = ""
    was: ClassVar[tuple[str, ...]] = ()
    not_in_python: ClassVar[tuple[str, ...]] = ()
    views: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    examples: ClassVar[tuple[str, ...]] = ()
    about: ClassVar[str] = ""
    without_nets: ClassVar[str] = ""
    flags: ClassVar[Mapping[str, tuple[str, ...]]] = {}

    @classmethod
    def not_for(cls, plan: Blueprint) -> str | None:
        """Why it means nothing for a net, and which nets would do, in one sentence; else None."""
        return None

    def for_net(self, plan: Blueprint | None, lane: int = 0) -> Ask:
        """What is asked of this net, where some value means nothing for it.

        Args:
            plan: None of a net whose structure only its library knows.
            lane: Its place among the nets that are asked the same.

        Raises:
            SkipscopeError: One sentence.
        """
        return self

    def waits(self) -> Literal["click", "sweep"]:
        """``priority``, or what it is with these options."""
        return type(self).priority


class Show(Options):
    """What can be chosen of a figure; what is measured stays."""

    def needs(self) -> tuple[str, ...]:
        """Fields of the result that are then drawn, though cards of shipped weights lack them."""
        return ()


def images(default: int | None, what: str = "") -> Any:
    """The option ``n_images``: how many are measured, each class in its share.

    Args:
        default: None takes all.
    """
    words = "number of images, each class in its share"
    if default is None:
        words = "measure only so many images, each class in its share"
    return option(default, "Images", what or words, least=1, doors=("shell", "python"), flags=["n"])


def seed(what: str) -> Any:
    """The option ``seed``: the page has one for all that is drawn.

    Args:
        what: What it is the seed of.
    """
    return option(
        SEED, "Seed", f"seed of {what}", least=0, most=MAX_SEED, doors=("shell", "python")
    )


# ------------------------------------------------------------------------------------ results


@dataclass(frozen=True)
class OneImage:
    """What instruments of one image look at.

    Attributes:
        image: A test image by its index, a picture file, or uint8 (C, H, W).
        deleted: Units to leave out, by name or index.
    """

    image: Any
    deleted: tuple[str | int, ...] = ()


@dataclass(frozen=True)
class Training:
    """What a training recorded of one of its nets.

    Attributes:
        net: Its token.
        data: The images' name.
        batch_size: Images of a training batch.
        records: Those of a kind, in order of step.
    """

    plan: Blueprint
    net: str
    data: str
    batch_size: int
    records: Callable[[str], Iterable[Record]]


@dataclass(frozen=True)
class Column:
    """One column of a result's table.

    Attributes:
        key: Names it in CSV, data frames and JSON.
        heading: On the page and in a terminal, with the unit; None takes the key.
        unit: ``%`` shows shares in [0, 1] times 100, ``points`` differences of shares.
        digits: Significant ones, on the page and in a terminal; of ``%`` and ``points``, decimals.
        bar: Whether a terminal draws a bar of the value beside it; a number is what fills it.
            ``log`` puts a mark between the column's least and greatest on a log scale.
        of: The field of the result that holds it, where that is not called like the key.
        at: Of a field with several values a row, the place of this one.
        shown: False where it is for programs alone.
    """

    key: str
    heading: str | None = None
    unit: str = ""
    digits: int = 4
    bar: bool | float | Literal["log"] = False
    of: str | None = None
    at: int | None = None
    shown: bool = True

    @property
    def title(self) -> str:
        name = self.key.replace("_", " ") if self.heading is None else self.heading
        return f"{name}, {self.unit}" if self.unit else name

    @property
    def source(self) -> str:
        return self.key if self.of is None else self.of


@dataclass(frozen=True)
class Result:
    """Base of every result: a frozen dataclass of arrays and plain values, and its table.

    Fields that recur (all but the last two where they mean something): ``net`` and ``data`` (their
    names), ``n_images``, ``image`` (which one it is of), ``statistics`` (by which batch norm
    normalised). A field of uint8 (H, W, C) is a picture, and in JSON a PNG.

    Attributes:
        columns: Of the table. Each takes the field of its name, one value a row.
        together: Of the JSON: key of a list, whose entries are objects with one value of each of
            these columns. So ``layers: [{name: …, sd: …}, …]`` holds the fields ``layers`` and
            ``sd``; values of ``together`` are field by the entry's key. A field that is None has
            no key there; a property or method may stand in the place of a field.
        also: Of the JSON: what the fields amount to, by the name of its property or method.
        decimals: Of fields, in the JSON, where all digits would make it large.
        left_out: Fields that partial results leave out.
    """

    columns: ClassVar[tuple[Column, ...]] = ()
    together: ClassVar[Mapping[str, Mapping[str, str]]] = {}
    left_out: ClassVar[tuple[str, ...]] = ()
    also: ClassVar[tuple[str, ...]] = ()
    decimals: ClassVar[Mapping[str, int]] = {}

    @property
    def by_the_batch(self) -> bool:
        """Whether batch norm went by the batch of the moment, as in a training step."""
        return False

    def amount(self) -> int:
        """How much of it is measured, where that is kept and gone on from."""
        return 0

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """A row for each entry of the columns' fields, unrounded."""
        return zip(
            *(_plain(getattr(self, one.source), one.at) for one in self.columns), strict=True
        )

    def more_columns(self) -> Mapping[str, Any]:
        """For files and data frames alone, by key, one value a row: columns that depend on what was
        measured, such as one for each class of the images.
        """
        return {}

    def records(self) -> list[dict[str, Any]]:
        """The rows by the columns' keys."""
        more = self.more_columns()
        keys = [*(one.key for one in self.columns), *more]
        columns = map(_plain, more.values())
        return [
            dict(zip(keys, (*row, *others), strict=True))
            for row, *others in zip(self.rows(), *columns, strict=True)
        ]

    def to_frame(self) -> pd.DataFrame:
        """The table as a data frame."""
        import pandas as pd

        keys = [*(one.key for one in self.columns), *self.more_columns()]
        return pd.DataFrame(self.records(), columns=keys)

    def to_json(self, *, partial: bool = False) -> dict[str, Any]:
        """Plain values, without the type's name; NaN becomes null."""
        from explorer.instruments.codec import to_json

        return to_json(self, partial=partial)

    @classmethod
    def from_json(cls: type[R], value: dict[str, Any]) -> R:
        """Back again. What was stored by earlier versions goes through :meth:`upgraded` first."""
        from explorer.instruments.codec import from_json

        return from_json(cls, cls.upgraded(value))

    @classmethod
    def upgraded(cls, value: dict[str, Any]) -> dict[str, Any]:
        """What an earlier version stored, as this one would have."""
        return value


@dataclass(frozen=True)
class Table:
    """Rows for people, where a result's own are too many to read; files keep those."""

    columns: tuple[Column, ...]
    entries: Sequence[tuple[Any, ...]]

    def rows(self) -> Iterator[tuple[Any, ...]]:
        return iter(self.entries)


def grouped(key: str, *same: str, **names: str) -> Mapping[str, Mapping[str, str]]:
    """``together`` of one list of objects.

    Args:
        key: The list's, in JSON.
        same: Fields whose values go by the field's own name in each object.
        names: Fields by another name in the objects.
    """
    return {key: {**names, **{name: name for name in same}}}


R = TypeVar("R", bound=Result)
A = TypeVar("A", bound=Ask)
S = TypeVar("S", bound=Show)


class Job(Protocol):
    """What a measurement may use while it runs."""

    @property
    def name(self) -> str | None:
        """What the result calls the net; None takes its token."""

    @property
    def known(self) -> Result | None:
        """What was measured of the same earlier, maybe partial; see ``Ask.keeps``."""

    def cancelled(self) -> bool:
        """To be asked often: it also lets clicks that wait come first."""

    def tell(self, part: Result, share: float, text: str = "") -> None:
        """A partial result, and how much of the whole it is, in [0, 1]."""


# --------------------------------------------------------------------------------------- pages


@dataclass(frozen=True)
class Lane(Generic[R]):
    """One net, with what was measured of it so far.

    Attributes:
        index: Decides colour, dash and marker.
        name: Unlike every other lane's.
        plan: None for a net whose structure only its library knows.
        info: The images that it was measured on.
        result: The latest, maybe partial.
        done: False while more is coming; captions then speak of what is there so far.
        step: Of the weights that were measured, where a training wrote them.
        normalised: By what the images were, in words; empty where there are none.
        skew: How unequally many images the classes have, in words; empty where they have not.
    """

    index: int
    name: str
    plan: Blueprint | None
    info: DataInfo
    result: R
    done: bool = True
    step: int | None = None
    normalised: str = ""
    skew: str = ""

    @property
    def unit_names(self) -> tuple[str, ...]:
        return () if self.plan is None else tuple(unit.name for unit in self.plan.units)


@dataclass(frozen=True)
class Style:
    """How a figure is drawn.

    Attributes:
        narrow: Whether for a phone's width.
        alone: Whether for a file that opens without a program behind it, so that what can be
            played with has to be in the figure itself.
    """

    theme: Theme = "light"
    narrow: bool = False
    alone: bool = False


@dataclass(frozen=True)
class Picture:
    """A small image below the figure.

    Attributes:
        png: Base64.
        words: Below it, a few.
        alt: What it shows, for who cannot see it.
    """

    lane: int
    png: str
    words: str
    alt: str


def _nothing(*_: Any) -> list[Any]:
    return []


@dataclass(frozen=True)
class Page(Generic[R, A, S]):
    """The words around an instrument's figure.

    Attributes:
        result: The class of ``result.py``.
        title: Two words or three, on a button.
        order: Its place among those of its group.
        question: The heading.
        explains: Two sentences: what one sees, and what to look for.
        figure_of: Which paper's figure this is, with the numbers that the paper prints.
        caption: What the data shows, a sentence an entry; nothing that it does not show. Also
            what a terminal says below its table.
        formula: The formula, and then again with numbers of this result in it, a line an entry.
        mode: How the net was evaluated, for the line of conditions; by the lane where it differs.
        step: Whether a training step is measured, in which batch norm goes by the batch.
        suggests: Tokens of nets that it means something for, offered where none is chosen.
        chosen: What of the result the options choose, such as one class's images: figure,
            sentences, table, files and conditions are all of that.
        headline: A net's big number and what it is, where the page has a place for it.
        pictures: Small images to be shown below the figure.
        own_weights: False for a result of weights drawn for it, or of none: then the conditions
            do not say where the net's own come from.
        see: Others that go on from here, as in a link, and the words of a button that leads there.
        table: What a page and a terminal show instead of the result's rows, such as medians.
        terminal: What a terminal shows instead, where these do not do: text or rows of one lane,
            or None where they do.
    """

    result: type[R]
    title: str
    group: Group
    question: str
    explains: str
    figure_of: str
    caption: Callable[[Sequence[Lane[R]], A, S], list[str]]
    formula: Callable[[Sequence[Lane[R]], A, S], list[str]]
    mode: str | Callable[[Lane[R]], str]
    order: int = 50
    step: bool = False
    suggests: tuple[str, ...] = ("digits_resnet_v2_56",)
    chosen: Callable[[Lane[R], A, S], R] | None = None
    headline: Callable[[Lane[R], A, S], tuple[str, str]] | None = None
    pictures: Callable[[Sequence[Lane[R]], A, S], list[Picture]] = _nothing
    own_weights: Callable[[Lane[R], A, S], bool] | None = None
    see: Mapping[str, str] = field(default_factory=dict)
    table: Callable[[R], Table] | None = None
    terminal: Callable[[Lane[R], A, S], str | Table | None] | None = None


class Draw(Protocol):
    """An instrument's ``figure.py``: any number of lanes (also none) as one figure."""

    def __call__(self, lanes: Sequence[Any], ask: Any, show: Any, style: Style) -> go.Figure: ...


class Graph(Protocol):
    """An instrument's ``graph.py``, where it has one: a net's structure as text."""

    def dot(self, plan: Blueprint, ask: Any) -> str:
        """For Graphviz."""

    def svg(self, plan: Blueprint, ask: Any) -> str: ...


# ------------------------------------------------------------------------------------- helpers


def _of_today(info: FieldInfo | None, value: Any) -> Any:
    """A choice's value by its word of today."""
    extra = None if info is None else info.json_schema_extra
    if not isinstance(value, str) or not isinstance(extra, dict) or "told" not in extra:
        return value
    return cast(Any, extra["told"]).formerly.get(value, value)


def _allowed(least: float | None, above: float | None, most: float | None) -> str:
    """A range in words: "at least 0 and at most 2"."""
    ends = {"above": above, "at least": least, "at most": most}
    return " and ".join(f"{words} {end:g}" for words, end in ends.items() if end is not None)


def _plain(values: Any, at: int | None = None) -> list[Any]:
    """A column's values; of several a row those ``at`` one place."""
    tolist = getattr(values, "tolist", None)  # of an array
    plain = list(values) if tolist is None else list(tolist())
    return plain if at is None else [row[at] for row in plain]


@cache
def _options_of(model: type[Options]) -> tuple[Option, ...]:
    return tuple(_declared(model))


def _declared(model: type[Options]) -> Iterator[Option]:
    hints = get_type_hints(model, include_extras=False)
    for name, info in model.model_fields.items():
        extra = info.json_schema_extra
        if not isinstance(extra, dict) or "told" not in extra:
            raise TypeError(f"{model.__module__}.{model.__name__}.{name} is no option()")
        yield _option(model, name, hints[name], info, cast(dict[str, Any], extra))


def _option(
    model: type[Options], name: str, hint: Any, info: FieldInfo, extra: dict[str, Any]
) -> Option:
    told: Told = extra["told"]
    optional, inner = _without_none(hint)
    kind, choices = _kind(inner)
    least, above, most = extra["range"]
    return Option(
        name=name,
        kind=kind,
        type=hint,
        default=info.default,
        optional=optional,
        help=info.description or "",
        told=told,
        choices={value: told.words.get(value, value) for value in choices},
        least=least,
        above=above,
        most=most,
        shown=issubclass(model, Show),
    )


def _without_none(hint: Any) -> tuple[bool, Any]:
    if get_origin(hint) in (Union, types.UnionType):
        inner = [part for part in get_args(hint) if part is not type(None)]
        optional = len(inner) < len(get_args(hint))
        if optional and len(inner) == 1:
            return True, inner[0]
        return optional, hint
    return False, hint


def _kind(hint: Any) -> tuple[Kind, tuple[str, ...]]:
    if hint is bool:
        return "flag", ()
    if get_origin(hint) is Literal:
        return "choice", get_args(hint)
    if hint is int:
        return "whole", ()
    if hint is float:
        return "number", ()
    if get_origin(hint) is tuple:
        kind, choices = _kind(get_args(hint)[0])
        several: dict[str, Kind] = {
            "whole": "wholes",
            "number": "numbers",
            "choice": "choices",
            "text": "texts",
        }
        return several.get(kind, "text"), choices
    return "text", ()
