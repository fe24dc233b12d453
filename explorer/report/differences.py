"""What differs between the nets of a report, in sentences: the nets themselves, then the rest."""

from __future__ import annotations

from collections.abc import Sequence

from explorer.report.material import ReportLane
from explorer.structure.shared_start import what_differs, what_differs_between


def differences(lanes: Sequence[ReportLane]) -> list[str]:
    """Of one lane there are none; of lanes of several trainings a sentence for each further one."""
    if len(lanes) < 2:
        return []
    seed = lanes[0].training.spec.seed
    sentences = [
        what_differs(
            [lane.plan.spec for lane in lanes],
            forked=[i for i, lane in enumerate(lanes) if lane.forked],
            reseeded=[i for i, lane in enumerate(lanes) if lane.training.spec.seed != seed],
        )
    ]
    first, *others = {lane.training.id: lane.training for lane in lanes}.values()
    sentences += [
        f"{first.name} and {other.name}: {what_differs_between(first.spec, other.spec)}"
        for other in others
    ]
    return sentences
