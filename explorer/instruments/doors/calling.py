"""How a measurement is called, the same at every door: refusals first, then what it takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from explorer.instruments import Instrument
from explorer.instruments.contract import Ask, OneImage, Result, Training

if TYPE_CHECKING:
    from explorer.data.dataset import Dataset
    from explorer.nets import Net

Tell = Callable[[Result, float, str], None]


@dataclass(frozen=True)
class Work:
    """A :class:`~explorer.instruments.contract.Job` of two functions."""

    name: str | None = None
    on_part: Tell | None = None
    stopped: Callable[[], bool] | None = None
    known: Result | None = None

    def cancelled(self) -> bool:
        return self.stopped is not None and self.stopped()

    def tell(self, part: Result, share: float, text: str = "") -> None:
        if self.on_part is not None:
            self.on_part(part, share, text)


def measured(
    one: Instrument,
    ask: Ask,
    job: Work,
    *,
    net: Net | None = None,
    data: Dataset | None = None,
    image: OneImage | None = None,
    training: Training | None = None,
    lane: int = 0,
) -> Result:
    """The instrument's result.

    Args:
        net, data, image, training: What the instrument's subject takes; the others are left out.
        lane: The net's place among those that are asked the same.

    Raises:
        NotApplicableError: It means nothing for the net.
        Cancelled: ``job`` was stopped on the way.
    """
    if training is not None:
        one.check(training.plan)
    if net is not None:
        one.check(net.blueprint)
        ask = ask.for_net(net.blueprint, lane)
    takes = {
        "net": (net, data),
        "weights": (net,),
        "image": (net, data, image),
        "data": (data,),
        "training": (training,),
        "none": (),
    }[one.ask.subject]
    return one.measure(*takes, ask, job)
