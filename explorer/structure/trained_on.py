"""What belongs to weights: how images were normalised, what the answers are called.

The same weights on the same images give another number once either is left behind, so it goes
with them: in the card beside the file, in the file's own header, or as a person tells it. No torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from explorer.errors import SpecError
from explorer.structure.specs import DATASETS, Spec, parse

Share = Annotated[float, Field(ge=0, le=1)]
Above = Annotated[float, Field(gt=0, le=10)]
Name = Annotated[str, Field(min_length=1, max_length=200)]


FORMAT = "skipscope-images-1"


class TrainedOn(Spec):
    """What is known of the images that weights were trained on; empty where it is not known.

    Attributes:
        data: What these images are called.
        mean, std: Of each channel, on the scale 0 … 1: images are (x − mean) / std to the net.
        classes: The answers' names, in the order of the net's answers.
    """

    format: Literal["skipscope-images-1"] = "skipscope-images-1"
    data: str = Field("", max_length=200)
    mean: tuple[Share, ...] = Field((), max_length=16)
    std: tuple[Above, ...] = Field((), max_length=16)
    classes: tuple[Name, ...] = Field((), max_length=100_000)

    @model_validator(mode="after")
    def _of_the_same_channels(self) -> TrainedOn:
        if len(self.mean) != len(self.std):
            raise ValueError(
                f"mean has {len(self.mean)} values and std {len(self.std)}: give one of each for "
                "every channel"
            )
        return self

    def with_given(self, given: TrainedOn) -> TrainedOn:
        """The same, with what a person says instead of what the file says."""
        values = given.model_dump(exclude_defaults=True)
        return self.model_copy(update={**values, **({"data": ""} if given.mean else {})})

    def check(
        self, channels: int, answers: int, mean: str = "Mean and std", classes: str = "Classes"
    ) -> None:
        """Refuses what does not go with a net of so many channels and answers.

        Args:
            mean, classes: What the person gave them by.

        Raises:
            SpecError: One sentence.
        """
        if self.mean and len(self.mean) != channels:
            raise SpecError(
                f"{mean} have {len(self.mean)} values, and the net's images have {channels} "
                f"{'channel' if channels == 1 else 'channels'}: give one of each for every channel."
            )
        if self.classes and len(self.classes) != answers:
            raise SpecError(
                f"{classes} are {len(self.classes)} names, and the net tells {answers} classes "
                "apart: name each of them, in the order of its answers."
            )

    @property
    def normalisation(self) -> str:
        """By what images are normalised for the weights, in words; empty where nobody knows."""
        return normalisation("the weights'", self.mean, self.std) if self.mean else ""

    def __bool__(self) -> bool:
        return self != TrainedOn()


def told(
    mean: Sequence[float] = (), std: Sequence[float] = (), classes: Sequence[str] = ()
) -> TrainedOn:
    """What a person says of weights.

    Args:
        classes: The answers' names, or the name of one of ``DATASETS``.

    Raises:
        SpecError: One sentence: what does not go together.
    """
    if len(classes) == 1 and classes[0] in DATASETS:
        classes = DATASETS[classes[0]].classes
    values: dict[str, Any] = {"mean": mean, "std": std, "classes": classes}
    return parse(TrainedOn, {name: tuple(value) for name, value in values.items()})


def normalisation(whose: str, mean: Sequence[float], std: Sequence[float]) -> str:
    """ "normalised by the weights' mean (0.485, 0.456, 0.406) and std (0.229, 0.224, 0.225)"."""
    means, stds = (", ".join(f"{value:.3g}" for value in values) for values in (mean, std))
    return f"normalised by {whose} mean ({means}) and std ({stds})"


def read(text: str) -> TrainedOn | None:
    """From JSON; None of another kind of text."""
    if FORMAT not in text:  # as of a card, which may be large
        return None
    try:
        return TrainedOn.model_validate_json(text)
    except (ValidationError, ValueError):
        return None


def told_path(weights: Path) -> Path:
    """Where what a person told of a file lies: beside it, as a card would."""
    return weights.with_suffix(".json")
