"""The few choices that an instrument may have: each knows its values, and its words in a link."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from explorer.errors import SpecError
from explorer.instruments.contract import always
from explorer.runs.serve.pictures import is_picture
from explorer.structure.blueprint import Blueprint, UnitPlan
from explorer.system.bounded import MOST_INDEX, whole_number

Options = Mapping[str, Any]


@dataclass(frozen=True)
class Present:
    """What is chosen already, for options that depend on it."""

    plans: Sequence[Blueprint] = ()
    classes: Sequence[str] = ()


class Control(Protocol):
    """What every control has."""

    @property
    def name(self) -> str:
        """In links."""

    @property
    def label(self) -> str: ...

    @property
    def help(self) -> str | None: ...

    @property
    def when(self) -> Callable[[Options], bool]:
        """Whether it means something, given the others."""

    def usual(self, present: Present) -> Any:
        """Its default."""

    def read(self, text: str, present: Present) -> Any:
        """The value of a link's text; raises :class:`SpecError`."""

    def write(self, value: Any) -> str: ...


@dataclass(frozen=True)
class Choice:
    """One of a few values.

    Attributes:
        values: Words by value.
        when: Whether it means something, given the others.
        default: None takes the first.
        formerly: Earlier words in links for values of today.
    """

    name: str
    label: str
    values: Mapping[str, str]
    help: str | None = None
    when: Callable[[Options], bool] = always
    default: str | None = None
    formerly: Mapping[str, str] = field(default_factory=dict)

    def choices(self, present: Present) -> Mapping[str, str]:
        return self.values

    def usual(self, present: Present) -> Any:
        return next(iter(self.choices(present)), "") if self.default is None else self.default

    def read(self, text: str, present: Present) -> Any:
        values = self.choices(present)
        text = self.formerly.get(text, text)
        if text not in values:
            few = list(values)[:12]
            more = " …" if len(values) > len(few) else ""
            raise SpecError(
                f"{self.name} must be one of {', '.join(few)}{more}, not {text[:40]!r}."
            )
        return text

    def write(self, value: Any) -> str:
        return str(value)


@dataclass(frozen=True)
class UnitPick(Choice):
    """One unit of the first net, by name.

    Attributes:
        which: Units that may be chosen.
        usually: Its default: the first, the middle or the last of them.
    """

    values: Mapping[str, str] = field(default_factory=dict)
    which: Callable[[UnitPlan], bool] = lambda unit: True
    usually: str = "first"

    def choices(self, present: Present) -> Mapping[str, str]:
        units = present.plans[0].units if present.plans else ()
        return {
            unit.name: f"{index + 1}: {unit.name}"
            for index, unit in enumerate(units)
            if self.which(unit)
        }

    def usual(self, present: Present) -> Any:
        names = list(self.choices(present))
        if not names:
            return ""
        return names[{"first": 0, "middle": len(names) // 2, "last": -1}[self.usually]]


@dataclass(frozen=True)
class ClassPick(Choice):
    """One class of the images, by its index."""

    values: Mapping[str, str] = field(default_factory=dict)

    def choices(self, present: Present) -> Mapping[str, str]:
        return {str(index): name for index, name in enumerate(present.classes)}


@dataclass(frozen=True)
class Several:
    """Any of a few values, none at first.

    Attributes:
        values: Words by value; no value has a dot in it.
    """

    name: str
    label: str
    values: Mapping[str, str] = field(default_factory=dict)
    help: str | None = None
    when: Callable[[Options], bool] = always

    def choices(self, present: Present) -> Mapping[str, str]:
        return self.values

    def usual(self, present: Present) -> Any:
        return ()

    def read(self, text: str, present: Present) -> Any:
        values = self.choices(present)
        chosen = text.split(".") if text else []
        for value in chosen:
            if value not in values:
                raise SpecError(
                    f"{self.name} must be some of {', '.join(list(values)[:16])}, not "
                    f"{value[:40]!r}."
                )
        return tuple(value for value in values if value in chosen)

    def write(self, value: Any) -> str:
        return ".".join(value)


@dataclass(frozen=True)
class Whole:
    """A whole number."""

    name: str
    label: str
    default: int
    least: int
    most: int
    step: int = 1
    help: str | None = None
    when: Callable[[Options], bool] = always

    def usual(self, present: Present) -> Any:
        return self.default

    def read(self, text: str, present: Present) -> Any:
        return whole_number(text, self.name, self.least, self.most)

    def write(self, value: Any) -> str:
        return str(int(value))


@dataclass(frozen=True)
class Number:
    """A number that need not be whole.

    Attributes:
        slider: Drawn as one, where the way there says as much as the number.
        times: What is shown, and stands in links, is the value times this: 100 shows a share in
            per cent.
    """

    name: str
    label: str
    default: float
    least: float
    most: float
    step: float
    help: str | None = None
    when: Callable[[Options], bool] = always
    slider: bool = False
    times: float = 1

    def usual(self, present: Present) -> Any:
        return self.default

    def read(self, text: str, present: Present) -> Any:
        try:
            value = float(text)
        except ValueError:
            raise SpecError(f"{self.name} must be a number, not {text[:40]!r}.") from None
        within(self.name, value, self.least * self.times, self.most * self.times)
        return value / self.times

    def write(self, value: Any) -> str:
        return f"{value * self.times:.10g}"


@dataclass(frozen=True)
class ImagePick(Whole):
    """A test image, by its index from 0."""

    name: str = "image"
    label: str = "Test image"
    default: int = 0
    least: int = 0
    most: int = MOST_INDEX
    help: str | None = "Its number in the test set, from 0."


@dataclass(frozen=True)
class OwnImage:
    """A visitor's own image, by the name under which it is kept; empty for none."""

    name: str = "own"
    label: str = "Your image"
    help: str | None = "An image file; it is made as large as the net's images are."
    when: Callable[[Options], bool] = always

    def usual(self, present: Present) -> Any:
        return ""

    def read(self, text: str, present: Present) -> Any:
        if text and not is_picture(text):
            raise SpecError(
                f"{self.name} must be the name of an image that was chosen here, not {text[:40]!r}."
            )
        return text

    def write(self, value: Any) -> str:
        return str(value)


@dataclass(frozen=True)
class Flag:
    """Yes or no."""

    name: str
    label: str
    default: bool = False
    help: str | None = None
    when: Callable[[Options], bool] = always

    def usual(self, present: Present) -> Any:
        return self.default

    def read(self, text: str, present: Present) -> Any:
        if text not in ("yes", "no"):
            raise SpecError(f"{self.name} must be yes or no, not {text[:40]!r}.")
        return text == "yes"

    def write(self, value: Any) -> str:
        return "yes" if value else "no"


def within(name: str, value: Any, least: Any, most: Any) -> Any:
    if not least <= value <= most:  # also where the value is not a number
        raise SpecError(f"{name} must lie between {least:,} and {most:,}, not {value:g}.")
    return value
