"""Nets by the short words of links: shipped weights, a lane of a run, a fresh net by name."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from explorer.blueprint import Blueprint
from explorer.data.catalog import data_info
from explorer.errors import SpecError
from explorer.names import spec_of, title_of, token_of
from explorer.runs.service import RunService
from explorer.shipped import shipped
from explorer.specs import DataInfo, DataSpec, fit
from explorer.ui.plans import plan_of
from explorer.ui.restview import fresh_source, shipped_card
from explorer.ui.state import PageState

RUN = "run:"  # run:ID.LANE, lanes counted from 0


@dataclass(frozen=True)
class SourceNet:
    """A net that instruments can look at.

    Attributes:
        token: What it is called in links.
        name: For people.
        origin: Where its weights come from, in a few words.
        source: Where jobs find it (:mod:`explorer.runs.requests`).
        plan: None where only its library knows the structure.
        data: The images to measure it on.
        stamp: Changes whenever there are newer weights.
    """

    token: str
    name: str
    origin: str
    source: dict[str, Any]
    plan: Blueprint | None
    data: DataSpec
    info: DataInfo
    stamp: int | None = None


def source_net(service: RunService, token: str, data: DataSpec | None, seed: int) -> SourceNet:
    """The net of a token.

    Args:
        data: Images to measure on; None takes what the net was trained on, else the digits.
        seed: Of fresh nets.

    Raises:
        SkipscopeError: One sentence: no such net, or the images do not fit it.
    """
    if token.startswith(RUN):
        found = _of_run(service, token, data)
    elif token in shipped():
        found = _of_shipped(token, data)
    else:
        return _fresh(token, data or DataSpec(), seed)
    assert found.plan is not None
    spec = found.plan.spec
    if (spec.input_shape, spec.classes) != (found.info.input_shape, len(found.info.classes)):
        raise SpecError(
            f"{found.name} was trained on images of {_shape(spec.input_shape)} in {spec.classes} "
            f"classes; {found.info.title} has {_shape(found.info.input_shape)} in "
            f"{len(found.info.classes)}: take its own images, or a fresh net by name."
        )
    return found


def _of_shipped(token: str, data: DataSpec | None) -> SourceNet:
    card = shipped()[token]
    chosen = data or card.data
    return SourceNet(
        token=token,
        name=title_of(card.spec),
        origin=f"shipped weights, trained on {data_info(card.data).title}, seed {card.seed}",
        source={"source": "shipped", "name": token},
        plan=plan_of(card.spec),
        data=chosen,
        info=data_info(chosen),
    )


def _of_run(service: RunService, token: str, data: DataSpec | None) -> SourceNet:
    run, dot, lane = token.removeprefix(RUN).partition(".")
    if not dot or not lane.isdecimal():
        raise SpecError(f"{token[:60]!r} should read run:ID.LANE, such as run:abcd.0.")
    experiment = service.experiment(run)
    index = int(lane)
    if index >= len(experiment.spec.lanes):
        raise SpecError(
            f"The run {run!r} has no lane {index}: it has {len(experiment.spec.lanes)}, counted "
            "from 0."
        )
    spec, step = experiment.spec.lanes[index], experiment.lanes[index].snapshot_step
    chosen = data or experiment.spec.data
    return SourceNet(
        token=token,
        name=title_of(spec),
        origin=f"run “{experiment.name}”, "
        + (f"weights of step {step:,}" if step is not None else "no weights yet"),
        source={"source": "run", "experiment": run, "lane": index},
        plan=plan_of(spec),
        data=chosen,
        info=data_info(chosen),
        stamp=step,
    )


def _fresh(token: str, data: DataSpec, seed: int) -> SourceNet:
    info = data_info(data)
    net = fit(spec_of(token), info.input_shape, len(info.classes))
    return SourceNet(
        token=token_of(net),
        name=f"{title_of(net)}, untrained",
        origin=f"not trained; initial weights of seed {seed}",
        source=fresh_source(net, seed),
        plan=plan_of(net),
        data=data,
        info=info,
    )


def no_net(name: str, data: DataSpec | None, seed: int) -> SourceNet:
    """What stands for a net where an instrument needs none."""
    chosen = data or DataSpec()
    return SourceNet(
        token="",
        name=name,
        origin=f"no net of yours; seed {seed}",
        source={},
        plan=None,
        data=chosen,
        info=data_info(chosen),
    )


def told_apart(nets: list[SourceNet]) -> list[SourceNet]:
    """The same nets with names of which no two are equal."""
    seen: dict[str, int] = {}
    named = []
    for net in nets:
        seen[net.name] = seen.get(net.name, 0) + 1
        again = seen[net.name]
        named.append(net if again == 1 else replace(net, name=f"{net.name} ({again})"))
    return named


def offered(service: RunService, runs: int = 12) -> dict[str, str]:
    """Tokens to choose from, with words: shipped nets, then lanes of the latest runs."""
    words = {
        name: f"{title_of(card.spec)} · shipped, {data_info(card.data).title.lower()}"
        for name, card in shipped().items()
    }
    for experiment in service.experiments()[:runs]:
        for lane, spec in enumerate(experiment.spec.lanes):
            if experiment.lanes[lane].snapshot_step is not None:
                words[f"{RUN}{experiment.id}.{lane}"] = f"{title_of(spec)} · run {experiment.name}"
    return words


def token_of_lane(state: PageState, lane: int) -> str:
    """What Compare's lane is called here: its run, the shipped weights, or the fresh net."""
    if state.run is not None:
        return f"{RUN}{state.run}.{lane}"
    card = shipped_card(state, lane)
    return card.name if card is not None else token_of(state.lanes[lane])


def _shape(shape: tuple[int, ...]) -> str:
    return "×".join(str(n) for n in shape)


__all__ = ["SourceNet", "no_net", "offered", "source_net", "token_of_lane", "told_apart"]
