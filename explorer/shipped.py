"""Cards of trained weights, and the list of those that ship with the program. No torch."""

from __future__ import annotations

import math
import statistics
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from explorer.bounded import local_path, small_text
from explorer.errors import WeightsError
from explorer.specs import DataSpec, NetSpec, Spec, TrainSpec, explain

PRETRAINED = Path(__file__).resolve().parent.parent / "pretrained"


class Trial(Spec):
    """The same net trained alike from several seeds: what one shipped training is a draw of.

    Attributes:
        steps: Updates of each training; the schedule is that of a training so long.
        seeds: Of the trainings, in the order of what follows.
        train_loss: Cross-entropy (nats) at the end, on a fixed class-balanced choice of training
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
        of_what = f"{len(self.seeds)} seeds, {self.steps:,} steps"
        return f"median {middle:.1f} %, {least:.1f} to {most:.1f} % ({of_what})"


Quantity = Literal["train_loss", "train_error", "test_error"]


class Card(Spec):
    """What is known of a set of weights; lies beside ``NAME.safetensors`` as ``NAME.json``.

    Attributes:
        recipe: How the net was trained.
        mean, std: Of each channel of the training images, on the scale 0 … 1: what the net was
            trained on had these taken away; empty where they were not kept.
        accuracy: Share of correct answers on the test images, in [0, 1].
        n_images: Number of those images.
        trials: The same training from several seeds, this one's among them, and trainings longer
            than it: whether more steps take back what these weights show.
        versions: Of python, torch and this program.
        created: ISO 8601 time.
        command: The shell command that makes these weights again.
        results: Results of instruments by name, as their ``to_json`` gives them.
        records: The training's records by kind.
    """

    format: Literal["skipscope-weights-1"] = "skipscope-weights-1"
    name: str
    spec: NetSpec
    data: DataSpec
    recipe: TrainSpec
    seed: int
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    accuracy: float = Field(ge=0, le=1)
    n_images: int = Field(ge=1)
    trials: tuple[Trial, ...] = ()
    versions: dict[str, str] = Field(default_factory=dict)
    created: str = ""
    licence: str = ""
    command: str = ""
    results: dict[str, Any] = Field(default_factory=dict)
    records: dict[str, Any] = Field(default_factory=dict)

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
        WeightsError: One sentence: missing, damaged, or not a card.
    """
    file = local_path(path, WeightsError)
    file = card_path(file) if file.suffix == ".safetensors" else file
    try:
        return Card.model_validate_json(small_text(file))
    except FileNotFoundError:
        raise WeightsError(
            f"There is no card {file.name} beside the weights; put the JSON file that was saved "
            "with them in the same folder."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise WeightsError(f"The card {file.name} cannot be read: {reason}.") from None
    except ValidationError as error:
        raise WeightsError(f"{file.name} is not a card of weights: {explain(error)}") from None


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
        known = ", ".join(shipped()) or "none in this installation"
        raise WeightsError(f"There are no shipped weights named {name!r}; there are: {known}.")
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
    same = card.recipe.model_copy(update={"steps": training.steps}) == training
    return longest if same else None
