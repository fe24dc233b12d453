"""Nets by their words, as the Instruments page finds them, with images and what is known."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Any

from explorer.errors import SkipscopeError, SpecError
from explorer.pages.server.leases import leases, this_viewer
from explorer.pages.server.visitors import data_info, get_service
from explorer.pages.shared.plans import plan_of
from explorer.pages.shared.state import PageState
from explorer.runs.serve.job_queue import JobHandle
from explorer.runs.serve.service import RunService
from explorer.structure.blueprint import Blueprint, from_json
from explorer.structure.cards import Card, shipped, shipped_for
from explorer.structure.library_nets import images_for
from explorer.structure.named_nets import OfLibrary, OfRun, Ours, Shipped, named
from explorer.structure.names import title_of, token_of
from explorer.structure.specs import DataInfo, DataSpec, fit, sized_for

_PLANS_KEPT = 64


@dataclass(frozen=True)
class SourceNet:
    """A net that instruments can look at.

    Attributes:
        token: What it is called in links.
        name: For people.
        origin: Where its weights come from, in a few words.
        source: Where jobs find it (:mod:`explorer.runs.serve.requests`).
        plan: None where only its library knows the structure, and has not told yet.
        data: The images to measure it on.
        problem: Why it cannot be measured as things are, in a sentence; or None.
        stamp: Changes whenever there are newer weights.
    """

    token: str
    name: str
    origin: str
    source: dict[str, Any]
    plan: Blueprint | None
    data: DataSpec
    info: DataInfo
    problem: str | None = None
    stamp: int | None = None


def source_net(
    service: RunService, token: str, data: DataSpec | None, seed: int, *, patience: float = 0.0
) -> SourceNet:
    """The net of a token.

    Args:
        data: Images to measure on; None takes what the net was trained on, else the digits.
        seed: Of fresh nets.
        patience: Seconds to wait for another library's net, if its structure is not known yet.

    Raises:
        SkipscopeError: One sentence: no such net.
    """
    found = named(token)
    match found:
        case Shipped(card):
            return _fitting(
                SourceNet(
                    token=token,
                    name=title_of(card.spec),
                    origin=f"shipped weights, trained on {data_info(card.data).title}, "
                    f"seed {card.seed}",
                    source=found.source(seed),
                    plan=plan_of(card.spec),
                    data=(chosen := sized_for(card.spec, data) if data else card.data),
                    info=data_info(chosen),
                )
            )
        case OfRun():
            return _fitting(_of_run(service, found, data))
        case OfLibrary():
            return _of_library(service, found, data, seed, patience)
        case Ours():
            return _ours(found, data or DataSpec(), seed)


def _fitting(net: SourceNet) -> SourceNet:
    """The same net, with a sentence where the images are not of its shape and classes."""
    assert net.plan is not None
    spec = net.plan.spec
    if (spec.input_shape, spec.classes) == (net.info.input_shape, len(net.info.classes)):
        return net
    return replace(
        net,
        problem=f"{net.name} was trained on images of {_shape(spec.input_shape)} in "
        f"{spec.classes} classes; {net.info.title} has {_shape(net.info.input_shape)} in "
        f"{len(net.info.classes)}: take its own images, or an untrained net by its name.",
    )


def _of_run(service: RunService, found: OfRun, data: DataSpec | None) -> SourceNet:
    experiment = service.experiment(found.run)
    lanes = experiment.spec.lanes
    if found.lane >= len(lanes):
        raise SpecError(
            f"The run {found.run[:40]!r} has no lane {found.lane}: it has {len(lanes)}, counted "
            "from 0."
        )
    spec = lanes[found.lane]
    step = experiment.lanes[found.lane].snapshot_step if found.step is None else found.step
    chosen = sized_for(spec, data) if data else experiment.spec.data
    return SourceNet(
        token=found.token,
        name=title_of(spec) if found.step is None else f"{title_of(spec)}, step {step:,}",
        origin=f"run “{experiment.name}”, "
        + (f"weights of step {step:,}" if step is not None else "no weights yet"),
        source=found.source(0),
        plan=plan_of(spec),
        data=chosen,
        info=data_info(chosen),
        stamp=step,
    )


def _ours(found: Ours, data: DataSpec, seed: int) -> SourceNet:
    """A net of ours made for the images: fresh, or with a person's weights."""
    info = data_info(data)
    net = replace(found, spec=fit(found.spec, info.input_shape, len(info.classes)))
    own = net.weights is not None
    return SourceNet(
        token=net.token,
        name=f"{title_of(net.spec)}, {'your weights' if own else 'untrained'}",
        origin=f"uploaded weights {net.weights}"
        if own
        else f"not trained; initial weights of seed {seed}",
        source=net.source(seed),
        plan=plan_of(net.spec),
        data=data,
        info=info,
    )


# ------------------------------------------------------------------------ other libraries' nets

_plans: OrderedDict[str, Blueprint | JobHandle] = OrderedDict()
_plans_lock = threading.Lock()


def _of_library(
    service: RunService, found: OfLibrary, data: DataSpec | None, seed: int, patience: float
) -> SourceNet:
    name, weights = found.name, found.weights
    origin = {
        None: f"not trained; initial weights of seed {seed}",
        "default": "its library's weights, trained on ImageNet",
    }.get(weights, f"uploaded weights {weights}")
    problem = None
    chosen = data or DataSpec()
    if data is None or data_info(data).input_shape[0] != 3:
        problem = f"{name} takes colour images: choose a folder of images or CIFAR-10 under Images."
    else:
        chosen = images_for(name, weights, data)
    return SourceNet(
        token=found.token,
        name=name if weights is not None else f"{name}, untrained",
        origin=origin,
        source=found.source(seed),
        plan=_external_plan(service, name, patience),
        data=chosen,
        info=data_info(chosen),
        problem=problem,
    )


def _external_plan(service: RunService, name: str, patience: float) -> Blueprint | None:
    """The library's net as a worker has read it; None while it reads."""
    with _plans_lock:
        known = _plans.get(name)
        if isinstance(known, Blueprint):
            return known
        if known is None or known.error is not None:
            known = service.submit("blueprint", {"net": {"source": "external", "name": name}})
            _plans[name] = known
            while len(_plans) > _PLANS_KEPT:
                _plans.popitem(last=False)
    answer = leases.hold(known, this_viewer()).wait(patience)
    if known.error is not None:
        raise SpecError(known.error)
    if answer is None:
        return None
    plan = _plans[name] = from_json(answer["blueprint"])
    return plan


# ----------------------------------------------------------------------------------- the rest


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
                words[OfRun(experiment.id, lane).token] = (
                    f"{title_of(spec)} · run {experiment.name}"
                )
    return words


def shipped_card(state: PageState, lane: int) -> Card | None:
    """The card of shipped weights of the lane's net, trained by these choices.

    They may have been trained for another number of steps than Play would, which is said.
    """
    card = shipped_for(state.lanes[lane], state.data.name)
    if card is None or card.data != state.data:
        return None
    same = card.recipe.is_but_for_length(state.training) and card.seed == state.seed
    return card if same else None


def token_of_lane(state: PageState, lane: int) -> str:
    """What Compare's lane is called here: its run, the shipped weights, or the fresh net."""
    if state.run is not None:
        return OfRun(state.run, lane, _step(state, lane)).token
    card = shipped_card(state, lane)
    return card.name if card is not None else token_of(state.lanes[lane])


def _step(state: PageState, lane: int) -> int | None:
    """Of the weights kept last before the moment that the page looks at, if any."""
    if state.run is None or state.at is None:
        return None
    try:
        return get_service().moment(state.run, state.at).lanes[lane].weights_step
    except SkipscopeError:  # the run is gone: the page that is linked to says so
        return None


def _shape(shape: tuple[int, ...]) -> str:
    return "×".join(str(n) for n in shape)
