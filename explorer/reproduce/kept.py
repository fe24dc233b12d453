"""What was measured for the figures: kept files, cards of shipped nets, and what is counted."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from explorer.errors import SkipscopeError
from explorer.reproduce.contract import Asks, Counts, Ends, Figure, LaneResult, Measurement, Trains
from explorer.structure import cards
from explorer.structure.cards import Card, shipped
from explorer.structure.names import spec_of, title_of, token_of
from explorer.structure.specs import explain
from explorer.system.bounded import local_path, small_text
from explorer.system.files import write_text

HERE = "digits"  # the embedded images
FOLDER = Path(__file__).parent / "kept"


class KeptError(SkipscopeError):
    """A kept measurement that cannot be read or written."""


def measurements(row: Figure, folder: Path = FOLDER) -> list[Measurement]:
    """All that is known of a figure, the closest to the paper first; none where nothing is.

    Raises:
        KeptError: The kept file is damaged.
    """
    if isinstance(row.how, Counts):
        return [Measurement(figure=row.key, numbers=dict(row.how.numbers()))]
    found = []
    if row.protocol.data:
        on_cards = from_cards(row, row.protocol.data)
        found += [on_cards] if on_cards is not None else []
    from_file = kept(row, folder)
    if from_file is None and row.on_cards and row.protocol.data != HERE:
        from_file = from_cards(row, HERE)
    return found + ([from_file] if from_file is not None else [])


def path_of(row: Figure, folder: Path = FOLDER) -> Path:
    """Where its measurement is kept; figures of one measurement share a file."""
    return folder / f"{row.kept_in or row.key}.json"


def kept(row: Figure, folder: Path = FOLDER) -> Measurement | None:
    """The measurement that the command wrote; None where there is none.

    Raises:
        KeptError: One sentence: it is damaged, or another figure's.
    """
    file = path_of(row, local_path(folder, KeptError))
    try:
        found = _read(file, file.stat().st_mtime_ns)
    except FileNotFoundError:
        return None
    if found.figure != (row.kept_in or row.key):
        raise KeptError(
            f"{file.name} holds a measurement of {found.figure!r}: measure it again with "
            f"`{again(row)}`."
        )
    return found


def again(row: Figure) -> str:
    """The command that measures it again."""
    return f"skipscope reproduce {row.kept_in or row.key} --measure"


def stamp(folder: Path = FOLDER) -> tuple[tuple[str, int], ...]:
    """Changes with the kept files."""
    files = sorted(folder.glob("*.json"))
    return tuple((file.name, file.stat().st_mtime_ns) for file in files)


@lru_cache(maxsize=128)
def _read(file: Path, changed: int) -> Measurement:
    remedy = f"measure it again with `skipscope reproduce {file.stem} --measure`."
    try:
        return Measurement.model_validate_json(small_text(file))
    except FileNotFoundError:
        raise
    except ValidationError as error:
        raise KeptError(f"{file.name} is damaged ({explain(error)[:-1]}): {remedy}") from None
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise KeptError(f"{file.name} cannot be read ({reason}): {remedy}") from None


def keep(measurement: Measurement, folder: Path = FOLDER) -> Path:
    """Write it, whole; returns the file.

    Raises:
        KeptError: The folder cannot be written to.
    """
    file = folder / f"{measurement.figure}.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_text(file, measurement.model_dump_json(exclude_defaults=True) + "\n")
    except OSError as error:
        raise KeptError(f"{file} cannot be written: {error.strerror or error}.") from None
    return file


# ---------------------------------------------------------------------------------------- cards


def from_cards(row: Figure, data: str) -> Measurement | None:
    """What cards of shipped nets on the paper's own images know of a figure; None for nothing."""
    own = {name: card for name, card in shipped().items() if card.data.name == data}
    found: dict[str, Any] = {}
    used: list[str] = []
    if isinstance(row.how, Trains):
        arms = []
        for name, card in own.items():
            label = row.on_cards.get(token_of(card.spec))
            if label is not None:
                arms.append(ends_of(card, label))
                used.append(name)
        found["arms"] = sorted(arms, key=_by_depth)
    elif isinstance(row.how, Asks):
        lanes = []
        for name, card in own.items():
            if card.spec.family not in row.how.families or card.spec.depth < row.how.layers:
                continue
            result = _result(name, card, row.how.instrument)
            if result is not None:
                lanes.append(_lane(name, card, result))
                used.append(name)
        found.update(lanes=lanes, instrument=row.how.instrument)
    if not used:
        return None
    of_results = [lane.result.get("n_images") or 0 for lane in found.get("lanes", ())]
    first = own[used[0]]
    return Measurement(
        figure=row.key,
        data=data,
        images=max(of_results or [own[name].n_images for name in used]),
        **found,
        versions=first.versions,
        created=max(own[name].created for name in used),
        command=" · ".join(own[name].command for name in used if own[name].command),
        cards=tuple(used),
    )


def _by_depth(arm: Ends) -> tuple[str, int]:
    spec = spec_of(arm.net)
    return spec.family, getattr(spec, "depth", 0)


def ends_of(card: Card, label: str, steps: int | None = None) -> Ends:
    """What a card knows of its training from several seeds; at the least its own.

    Args:
        steps: Of trainings of this length; None takes the longest of three seeds or more, so that
            nothing is shown that more steps would take back.
    """
    known = [t for t in card.trials if (len(t.seeds) >= 3 if steps is None else t.steps == steps)]
    trial = max(known, key=lambda t: t.steps, default=None)
    records = card.records.get("eval") or {}
    curve = {
        key: list(records[key])
        for key in ("step", "train_loss", "train_error", "test_error")
        if key in records
    }
    if trial is None or len(trial.seeds) < 2:
        last = {key: (values[-1],) for key, values in curve.items() if values}
        return Ends(
            label=label,
            net=token_of(card.spec),
            steps=card.recipe.steps,
            seeds=(card.seed,),
            train_loss=last.get("train_loss", (None,)),
            train_error=last.get("train_error", (None,)),
            test_error=(1 - card.accuracy,),
            curve=(curve,) if curve else (),
            shipped=True,
        )
    own = trial.steps == card.recipe.steps
    return Ends(
        label=label,
        net=token_of(card.spec),
        steps=trial.steps,
        seeds=trial.seeds,
        train_loss=trial.train_loss,
        train_error=trial.train_error,
        test_error=trial.test_error,
        curve=(curve,) if curve and own else (),
        shipped=True,
    )


def _result(name: str, card: Card, instrument: str) -> dict[str, Any] | None:
    """What a card, or the file beside it, keeps of an instrument."""
    if instrument in card.results:
        return dict(card.results[instrument])
    one = cards.kept(name).of(instrument)  # results too long for a card
    return None if one is None else dict(one.result)


def _lane(name: str, card: Card, result: dict[str, Any]) -> LaneResult:
    return LaneResult(
        label=f"{title_of(card.spec)}, {card.data.name}",
        net=token_of(card.spec),
        seed=card.seed,
        steps=card.recipe.steps,
        accuracy=card.accuracy,
        shipped=True,
        result=result,
    )
