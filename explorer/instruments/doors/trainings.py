"""What a training recorded, as instruments take it: of a folder of `skipscope train --out`, or of
the training that made a shipped net, as far as it is kept."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from explorer.errors import NotApplicableError, RunError, WeightsError
from explorer.instruments.contract import Training
from explorer.results import Record
from explorer.structure.blueprint import blueprint
from explorer.structure.cards import Card, kept, shipped
from explorer.structure.names import token_of
from explorer.structure.specs import ExperimentSpec


def of_folder(folder: str) -> list[Training]:
    """Of each net that was trained, in order; of a shipped net by its name.

    Raises:
        RunError: One sentence: it is no such folder, or a damaged one.
        WeightsError: What is kept of the shipped net's training is damaged.
    """
    from explorer.cli.folder import read_folder

    if folder in shipped():
        return [of_shipped(folder)]
    experiment, records = read_folder(folder)
    return [of_lane(experiment, lane, records) for lane in range(len(experiment.lanes))]


def of_shipped(name: str) -> Training:
    """Of the training that made a shipped net.

    Raises:
        NotApplicableError: Nothing is kept of it.
        WeightsError: There is no such net, or what is kept is damaged.
    """
    records = recorded(name)
    if not records:
        raise NotApplicableError(
            f"Of the training of {name} nothing is kept: train it on the Compare page, or look at "
            "a net of which there is a history, such as "
            f"{next((other for other in shipped() if recorded(other)), 'a lane of a run')}."
        )
    return of_lane(experiment_of_card(shipped()[name]), 0, records)


@lru_cache(maxsize=16)
def recorded(name: str) -> tuple[Record, ...]:
    """What is kept of every layer and block from a shipped net's training, in order of step.

    Raises:
        WeightsError: There is no such net, or the file is damaged.
    """
    try:
        return tuple(map(Record.from_json, kept(name).records))
    except (KeyError, ValueError, TypeError, AttributeError):
        raise WeightsError(
            f"What is kept of the training of {name} is damaged: install Skipscope anew."
        ) from None


def experiment_of_card(card: Card) -> ExperimentSpec:
    """The training that made weights."""
    return ExperimentSpec(
        lanes=(card.spec,), data=card.data, training=card.recipe, seed=card.seed, device="cpu"
    )


def of_lane(experiment: ExperimentSpec, lane: int, records: Sequence[Record]) -> Training:
    """Of one net."""

    def of_kind(kind: str) -> list[Record]:
        return [record for record in records if (record.lane, record.kind) == (lane, kind)]

    net = experiment.lanes[lane]
    batch_size = experiment.training.batch_size
    return Training(blueprint(net), token_of(net), experiment.data.name, batch_size, of_kind)


def one_of(trainings: Sequence[Training], lane: int) -> Training:
    """The one of a number, from 1.

    Raises:
        RunError: There is none.
    """
    if not 1 <= lane <= len(trainings):
        raise RunError(
            f"There is no lane {lane}: this training has {len(trainings)}, counted from 1."
        )
    return trainings[lane - 1]
