"""Everything that was recorded of trainings, as one long CSV table or one JSON document.

Both are written piece by piece: a long training has more records than fit into memory at once.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from explorer.report.material import ReportLane, Training
from explorer.results import Record
from explorer.runs.serve.recorded_as_results import places
from explorer.structure.blueprint import Blueprint, blueprint
from explorer.structure.names import token_of

COLUMNS = ("run", "lane", "net", "step", "kind", "quantity", "of", "value")
_PIECE = 2000  # rows
Records = Callable[[str], Iterable[Record]]  # of the training with this id


def csv_text(lanes: Sequence[ReportLane], records: Records) -> Iterator[str]:
    """One number a row: ``COLUMNS``; ``of`` names its layer, block or seed, where it has one."""
    rows = [COLUMNS]
    for training in _trainings(lanes):
        chosen = {lane.lane: lane for lane in lanes if lane.training is training}
        plans = {lane: blueprint(training.spec.lanes[lane]) for lane in chosen}
        for record in records(training.id):
            if record.lane not in chosen:
                continue
            net = token_of(training.spec.lanes[record.lane])
            front = (training.id, record.lane, net, record.step, record.kind)
            rows += [
                (*front, *number)  # type: ignore[misc]
                for number in numbers(record, plans[record.lane], training.spec.seed)
            ]
            if len(rows) > _PIECE:
                yield _written(rows)
                rows = []
    yield _written(rows)


def numbers(record: Record, plan: Blueprint, seed: int) -> Iterator[tuple[str, str, Any]]:
    """(quantity, of, value) of everything in a record; a value that was not finite is empty."""
    for quantity, value in record.values.items():
        if quantity == "by_seed":
            for name, values in value.items():
                yield from ((name, f"seed {seed + i}", _cell(v)) for i, v in enumerate(values))
        elif isinstance(value, list):
            names = places(plan, record.kind, quantity)
            if len(names) == len(value):
                yield from (
                    (quantity, name, _cell(v)) for name, v in zip(names, value, strict=True)
                )
            else:
                yield quantity, "", " ".join(map(str, value))
        else:
            yield quantity, "", _cell(value)


def json_text(lanes: Sequence[ReportLane], records: Records) -> Iterator[str]:
    """``{"runs": […]}``: what was chosen, by whom it is called, its notes, and every record."""
    yield '{"runs":['
    for index, training in enumerate(_trainings(lanes)):
        chosen = {lane.lane: lane for lane in lanes if lane.training is training}
        head = {
            "id": training.id,
            "name": training.name,
            "note": training.note,
            "status": training.status,
            "created": training.created,
            "step": training.step,
            "steps_total": training.steps_total,
            "device": training.device,
            "experiment": training.spec.model_dump(mode="json"),
            "lanes": [_lane(lane) for lane in chosen.values()],
        }
        yield f'{"," if index else ""}{_dumped(head)[:-1]},"records":['
        first = True
        for record in records(training.id):
            if record.lane in chosen:
                yield ("" if first else ",") + "\n" + _dumped(record.to_json())
                first = False
        yield "]}"
    yield "]}\n"


def _lane(lane: ReportLane) -> dict[str, Any]:
    return {
        "lane": lane.lane,
        "net": token_of(lane.plan.spec),
        "parameters": lane.plan.parameters,
        "multiply_adds": lane.plan.multiply_adds,
        "notes": list(lane.notes),
        "lesions": None
        if lane.lesions is None
        else {**lane.lesions.to_json(), "step": lane.lesions_step},
    }


def _trainings(lanes: Sequence[ReportLane]) -> list[Training]:
    return list({lane.training.id: lane.training for lane in lanes}.values())


def _written(rows: Sequence[Sequence[Any]]) -> str:
    file = io.StringIO()
    csv.writer(file).writerows(rows)
    return file.getvalue()


def _cell(value: Any) -> Any:
    return "" if value is None else value


def _dumped(value: Any) -> str:
    """JSON; numbers that it does not have (NaN, infinities) become null."""
    return json.dumps(_finite(value), separators=(",", ":"))


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
