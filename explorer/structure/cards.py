"""Cards of trained weights, and the list of those that ship with the program. No torch."""

from __future__ import annotations

import difflib
import math
import statistics
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import Field, ValidationError

from explorer.errors import WeightsError
from explorer.structure.specs import DATASETS, DataSpec, NetSpec, Spec, TrainSpec, explain
from explorer.structure.trained_on import TrainedOn
from explorer.system.bounded import local_path, small_text

_Read = TypeVar("_Read", bound=Spec)
PRETRAINED = Path(__file__).resolve().parents[2] / "pretrained"


class Trial(Spec):
    """The same net trained alike from several seeds: what one shipped training is a draw of.

    Attributes:
        steps: Updates of each training; the schedule is that of a training so long.
        seeds: Of the trainings, in the order of what follows.
        train_loss: Cross-entropy (nats) at the end, on a fixed choice of training
            images; None where a training diverged, here and below.
        train_error, test_error: Shares of wrong answers at the end, in [0, 1].
    """

    steps: int = Field(ge=1)
    seeds: tuple[int, ...] = Field(min_length=1)
    train_loss: tuple[float | None, ...]
    train_error: tuple[float | None, ...]
    test_error: tuple[float | None, ...]

    def spread(self, of: Quantity = "test_error") -> tuple[float, float, float]:
        """(median, least, greatest) over the seeds that did not diverge; NaN where none is left."""
        values = [value for value in getattr(self, of) if value is not None]
        if not values:
            return math.nan, math.nan, math.nan
        return statistics.median(values), min(values), max(values)

    def words(self, of: Quantity = "test_error") -> str:
        """ "median 72.2 %, 68.1 to 80.3 % (5 seeds, 330 steps)"; of shares."""
        middle, least, most = (100 * value for value in self.spread(of))
        if len(self.seeds) == 1:
            return f"{middle:.1f} % (1 seed, {self.steps:,} steps)"
        of_what = f"{len(self.seeds)} seeds, {self.steps:,} steps"
        return f"median {middle:.1f} %, {least:.1f} to {most:.1f} % ({of_what})"


class Within(Spec):
    """How far two measurements of one thing may lie apart: by one of the two, whichever is more.

    Attributes:
        absolute: In the quantity's own unit.
        relative: As a share of what the card says.
    """

    absolute: float = Field(0.0, ge=0)
    relative: float = Field(0.0, ge=0)


_MARK = '"skipscope-weights-'  # in every card's text

Quantity = Literal["train_loss", "train_error", "test_error"]


class AnyCard(Spec):
    """What is known of a set of weights; lies beside ``NAME.safetensors`` as ``NAME.json``.

    Nothing is invented of weights that somebody else trained: what is not known is None.

    Attributes:
        meant_to_fail: Whether the net ships to show how its training fails.
        data: What the net was trained on, or measured on where another trained it.
        recipe, seed: How the net was trained.
        n_train: Number of training images; 0 where that was not kept.
        mean, std: Of each channel of the training images, on the scale 0 … 1: what the net was
            trained on had these taken away; empty where they were not kept.
        classes: The answers' names, of a folder's images; others have those of their data set.
        accuracy: Share of correct answers on the test images, in [0, 1].
        n_images: Number of those images.
        precision: Of the numbers in the weights file; a net computes in float32 in any case.
            ``accuracy`` and ``results`` are of the weights as they are stored.
        accuracy_float32: Before the weights were rounded to float16; None where they were not.
        within: By what a measurement repeated elsewhere may differ and still bear the card out
            (:class:`Within`): ``accuracy``, and each of ``results`` by its name.
        trials: The same training from several seeds, this one's among them, and trainings longer
            than it: whether more steps take back what these weights show.
        versions: Of python, torch and this program.
        created: ISO 8601 time.
        origin: Where weights come from that were not trained here, in words.
        command: The shell command that makes these weights again.
        hardware: On what the net was trained.
        seconds: That the training took there.
        results: Results of instruments by name, as their ``to_json`` gives them.
        records: The training's records by kind.
    """

    format: Literal["skipscope-weights-1"] = "skipscope-weights-1"
    name: str
    spec: NetSpec
    meant_to_fail: bool = False
    data: DataSpec | None = None
    recipe: TrainSpec | None = None
    seed: int | None = None
    n_train: int = Field(0, ge=0)
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    classes: tuple[str, ...] = ()
    accuracy: float | None = Field(None, ge=0, le=1)
    n_images: int | None = Field(None, ge=1)
    precision: Literal["float32", "float16"] = "float32"
    accuracy_float32: float | None = Field(None, ge=0, le=1)
    within: dict[str, Within] = Field(default_factory=dict)
    trials: tuple[Trial, ...] = ()
    versions: dict[str, str] = Field(default_factory=dict)
    created: str = ""
    origin: str = Field("", max_length=500)
    licence: str = ""
    command: str = ""
    hardware: str = ""
    seconds: float | None = Field(None, ge=0)
    results: dict[str, Any] = Field(default_factory=dict)
    records: dict[str, Any] = Field(default_factory=dict)

    @property
    def trained_on(self) -> TrainedOn:
        """What its images were, as goes with the weights."""
        info = None if self.data is None else DATASETS.get(self.data.name)
        own = () if info is None or self.recipe is None else info.classes
        return TrainedOn(
            data=self.data_name, mean=self.mean, std=self.std, classes=self.classes or own
        )

    @property
    def data_name(self) -> str:
        """``digits``, or a folder's own name; empty where the data are not known."""
        if self.data is None:
            return ""
        return Path(self.data.path).name if self.data.path else self.data.name


class Card(AnyCard):
    """Of weights that were trained and measured here: all of it is known."""

    data: DataSpec
    recipe: TrainSpec
    seed: int
    accuracy: float = Field(ge=0, le=1)
    n_images: int = Field(ge=1)

    @property
    def epochs(self) -> float | None:
        """How often each training image was seen; None where their number was not kept."""
        images = self.recipe.steps * self.recipe.batch_size
        return images / self.n_train if self.n_train else None

    def words(self) -> str:
        """How it was made and what came out, in a sentence or two; as far as it is known."""
        seen = f", {self.epochs:.3g} epochs" if self.epochs is not None else ""
        augmented = ", augmented" if self.data.augment else ""
        made = (
            f"trained on {self.data.name}, recipe {self.recipe.recipe}, {self.recipe.steps:,} "
            f"steps of {self.recipe.batch_size} images{seen}{augmented}, seed {self.seed}"
        )
        if self.hardware and self.seconds is not None:
            took = f"{self.seconds / 3600:.1f} hours" if self.seconds >= 3600 else ""
            made += f"; {took or f'{self.seconds:.0f} s'} on {self.hardware}"
        right = f"{100 * self.accuracy:.2f} % of {self.n_images:,} test images are right"
        meant = "; it is meant to show how training fails" if self.meant_to_fail else ""
        return f"{made}. {right}, weights stored as {self.precision}{meant}."

    @property
    def alike(self) -> Trial | None:
        """Trainings as long as this one, from several seeds."""
        return next((trial for trial in self.trials if trial.steps == self.recipe.steps), None)


def card_path(weights: Path) -> Path:
    """Where the card of a weights file lies."""
    return weights.with_suffix(".json")


def read_card(path: Path | str) -> Card:
    """The card at ``path``, which may also be its weights file.

    Raises:
        WeightsError: One sentence: missing, damaged, or not a card of weights trained here.
    """
    file = local_path(path, WeightsError)
    file = card_path(file) if file.suffix == ".safetensors" else file
    card = _read(Card, file, "a card of weights")
    if card is None:
        raise WeightsError(
            f"There is no card {file.name} beside the weights; put the JSON file that was saved "
            "with them in the same folder."
        )
    return card


def _read(kind: type[_Read], file: Path, what: str) -> _Read | None:
    """A file beside weights; None where there is none."""
    text = _text(file)
    try:
        return None if text is None else kind.model_validate_json(text)
    except ValidationError as error:
        raise WeightsError(f"{file.name} is not {what}: {explain(error)}") from None


def _text(file: Path) -> str | None:
    """Of a file beside weights; None where there is none."""
    try:
        return small_text(file)
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise WeightsError(f"The card {file.name} cannot be read: {reason}.") from None


class KeptResult(Spec):
    """What an instrument measured of shipped weights, kept for who has not the images.

    Attributes:
        kind: The instrument's name.
        ask: Everything that was asked, options at their defaults among it.
        result: As the result's ``to_json`` gives it; how many images it is of stands in it.
        seconds: That it took.
    """

    kind: str
    ask: dict[str, Any] = Field(default_factory=dict)
    result: dict[str, Any]
    seconds: float | None = Field(None, ge=0)


class Kept(Spec):
    """What is kept of shipped weights beside their card, as ``NAME.kept.json``: too long for it.

    Attributes:
        records: Of the training that made the weights, in order of step, thinned: ``layers``,
            ``gates``, ``responses`` and ``lesions`` (:class:`explorer.results.Record`). Losses and
            errors stand in the card.
        results: Of instruments, on all test images unless they say otherwise.
    """

    format: Literal["skipscope-kept-1"] = "skipscope-kept-1"
    name: str
    records: tuple[dict[str, Any], ...] = ()
    results: tuple[KeptResult, ...] = ()

    def of(self, kind: str, asked: Mapping[str, Any] | None = None) -> KeptResult | None:
        """The result of an instrument, of this very question where one is ``asked``."""
        for one in self.results:
            if one.kind == kind and (asked is None or one.ask == asked):
                return one
        return None


def kept_path(weights: Path) -> Path:
    """Where what is kept beside a card lies."""
    return weights.with_suffix(".kept.json")


def read_kept(path: Path | str) -> Kept:
    """What is kept beside the weights at ``path``; nothing where there is no such file.

    Raises:
        WeightsError: One sentence: it is damaged.
    """
    weights = local_path(path, WeightsError)
    return _read(Kept, kept_path(weights), "what is kept of weights") or Kept(name=weights.stem)


@lru_cache(maxsize=8)
def kept(name: str) -> Kept:
    """What is kept of a shipped net: the records of its training, and results.

    Raises:
        WeightsError: There is no such net, or the file is damaged.
    """
    return read_kept(shipped_path(name))


def card_beside(weights: Path | str) -> AnyCard | None:
    """The card beside a file of weights; None where there is none, or another program's file.

    Raises:
        WeightsError: One sentence: it is damaged, or cannot be read.
    """
    file = card_path(local_path(weights, WeightsError))
    ours = _MARK in (_text(file) or "")
    return _read(AnyCard, file, "a card of weights") if ours else None


@lru_cache(maxsize=1)
def shipped() -> dict[str, Card]:
    """Cards of the weights that ship with the program, by name; those with both files."""
    found = {}
    for file in sorted(PRETRAINED.glob("*.json")):
        if file.with_suffix(".safetensors").is_file():
            found[file.stem] = read_card(file)
    return found


def shipped_path(name: str) -> Path:
    """The weights file of a shipped net.

    Raises:
        WeightsError: There is no such net; the sentence lists those that there are.
    """
    if name not in shipped():
        near = difflib.get_close_matches(name, shipped(), n=1, cutoff=0.6)
        if near:
            raise WeightsError(
                f"There are no shipped weights named {name[:60]!r}: did you mean {near[0]!r}?"
            )
        known = ", ".join(shipped()) or "none in this installation"
        raise WeightsError(f"There are no shipped weights named {name[:60]!r}; there are: {known}.")
    return PRETRAINED / f"{name}.safetensors"


def shipped_for(spec: NetSpec, data_name: str) -> Card | None:
    """The card of the shipped weights for this very net and data set, if any."""
    for card in shipped().values():
        if card.data.name == data_name and card.spec == spec:
            return card
    return None


def longer_trial(net: NetSpec, data: DataSpec, training: TrainSpec) -> Trial | None:
    """What this very training comes to with more steps, where a shipped net's card knows."""
    card = shipped_for(net, data.name)
    if card is None or card.data != data:
        return None
    longest = max(card.trials, key=lambda trial: trial.steps, default=None)
    if longest is None or longest.steps <= training.steps:
        return None
    return longest if card.recipe.is_but_for_length(training) else None
