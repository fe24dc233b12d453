"""What trainings of the shipped nets' kinds come to: from their cards, and trained once more."""

from __future__ import annotations

import math
import statistics

from explorer.claims.measures.nets import images
from explorer.structure.cards import Trial, shipped
from explorer.structure.specs import RECIPES
from explorer.training.publish import SHIPPED, Recipe, experiment_of, trial


def train_error(name: str, seed: int, steps: int | None = None) -> list[float]:
    """Training error in percent of every seed in a card, and of one seed more.

    Cost: one training of the shipped net.

    Args:
        steps: Only trainings of this length; None takes all that the card has, and for the one
            trained anew the shipped net's own.
    """
    experiment = experiment_of(SHIPPED[name]).model_copy(update={"seed": seed})
    if steps is not None:
        training = experiment.training.model_copy(update={"steps": steps})
        experiment = experiment.model_copy(update={"training": training})
    known = [each for each in shipped()[name].trials if steps in (None, each.steps)]
    if not known:
        raise ValueError(f"the card of {name} has no trials of {steps} steps")
    return _errors(*known, trial(experiment, images(), lambda text, share: None))


def median_error(name: str, seed: int, steps: int) -> float:
    """The median of :func:`train_error`."""
    return statistics.median(train_error(name, seed, steps))


def trained_anew(net: str, steps: int, seeds: int) -> list[float]:
    """Training error in percent of so many trainings, from seed 7 on, by the recipe one_cycle."""
    training = RECIPES["one_cycle"].model_copy(update={"steps": steps})
    experiment = experiment_of(Recipe(net, training)).model_copy(update={"seeds": seeds})
    return _errors(trial(experiment, images(), lambda text, share: None))


def median_anew(net: str, steps: int, seeds: int) -> float:
    """The median of :func:`trained_anew`."""
    return statistics.median(trained_anew(net, steps, seeds))


def _errors(*trials: Trial) -> list[float]:
    return [
        math.nan if error is None else 100 * error for each in trials for error in each.train_error
    ]
