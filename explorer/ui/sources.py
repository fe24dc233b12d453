"""Nets by the short words of links, as the Instruments page finds them.

- ``digits_plain_56``: shipped weights,
- ``run:ID.0``: a lane of a run, ``run:ID.0@120`` with its weights kept at step 120,
- ``resnet_v2_20;width=8``: a fresh net; ``;weights=NAME`` with uploaded weights,
- ``torchvision_resnet50``: another library's; ``;weights=default`` with its own weights.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Any

from explorer.blueprint import Blueprint, from_json
from explorer.bounded import whole_number
from explorer.errors import SkipscopeError, SpecError
from explorer.external import is_external, read_token
from explorer.names import spec_of, title_of, token_of
from explorer.runs.desk import JobHandle
from explorer.runs.service import RunService
from explorer.runs.uploads import is_upload
from explorer.shipped import shipped
from explorer.specs import MAX_LANES, MAX_STEPS, DataInfo, DataSpec, fit
from explorer.ui.leases import leases, this_viewer
from explorer.ui.plans import plan_of
from explorer.ui.restview import fresh_source, shipped_card
from explorer.ui.state import PageState
from explorer.ui.visitors import data_info, get_service

RUN = "run:"  # run:ID.LANE or run:ID.LANE@STEP, lanes counted from 0
WEIGHTS = ";weights="
IMAGENET_SIDE = 224
_PLANS_KEPT = 64


@dataclass(frozen=True)
class SourceNet:
    """A net that instruments can look at.

    Attributes:
        token: What it is called in links.
        name: For people.
        origin: Where its weights come from, in a few words.
        source: Where jobs find it (:mod:`explorer.runs.requests`).
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
    if token.startswith(RUN):
        return _fitting(_of_run(service, token, data))
    if token in shipped():
        return _fitting(_of_shipped(token, data))
    if is_external(token):
        return _external(service, token, data, seed, patience)
    return _by_name(token, data or DataSpec(), seed)


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
    run, dot, rest = token.removeprefix(RUN).partition(".")
    lane, at, chosen_step = rest.partition("@")
    if not dot or not lane.isdecimal() or (at and not chosen_step.isdecimal()):
        raise SpecError(
            f"{token[:60]!r} should read run:ID.LANE or run:ID.LANE@STEP, such as run:abcd.0@120."
        )
    experiment = service.experiment(run)
    index = whole_number(lane, "the lane", 0, MAX_LANES - 1)
    if index >= len(experiment.spec.lanes):
        raise SpecError(
            f"The run {run[:40]!r} has no lane {index}: it has {len(experiment.spec.lanes)}, "
            "counted from 0."
        )
    spec, step = experiment.spec.lanes[index], experiment.lanes[index].snapshot_step
    chosen = data or experiment.spec.data
    source: dict[str, Any] = {"source": "run", "experiment": run, "lane": index}
    if at:
        step = source["step"] = whole_number(chosen_step, "the step", 0, MAX_STEPS)
    return SourceNet(
        token=token,
        name=f"{title_of(spec)}, step {step:,}" if at else title_of(spec),
        origin=f"run “{experiment.name}”, "
        + (f"weights of step {step:,}" if step is not None else "no weights yet"),
        source=source,
        plan=plan_of(spec),
        data=chosen,
        info=data_info(chosen),
        stamp=step,
    )


def _by_name(token: str, data: DataSpec, seed: int) -> SourceNet:
    """A net of ours: fresh, or with a person's weights."""
    name, marked, upload = token.partition(WEIGHTS)
    info = data_info(data)
    net = fit(spec_of(name), info.input_shape, len(info.classes))
    if not marked:
        return SourceNet(
            token=token_of(net),
            name=f"{title_of(net)}, untrained",
            origin=f"not trained; initial weights of seed {seed}",
            source=fresh_source(net, seed),
            plan=plan_of(net),
            data=data,
            info=info,
        )
    if not is_upload(upload):
        raise SpecError(
            f"{upload[:40]!r} in {token[:60]!r} is not the name of uploaded weights: upload the "
            "file on this page, which names it."
        )
    return SourceNet(
        token=f"{token_of(net)}{WEIGHTS}{upload}",
        name=f"{title_of(net)}, your weights",
        origin=f"uploaded weights {upload}",
        source={"source": "file", "spec": net.model_dump(mode="json"), "path": upload},
        plan=plan_of(net),
        data=data,
        info=info,
    )


# ------------------------------------------------------------------------ other libraries' nets

_plans: OrderedDict[str, Blueprint | JobHandle] = OrderedDict()
_plans_lock = threading.Lock()


def _external(
    service: RunService, token: str, data: DataSpec | None, seed: int, patience: float
) -> SourceNet:
    name, weights = read_token(token)
    origin = {
        None: f"not trained; initial weights of seed {seed}",
        "default": "its library's weights, trained on ImageNet",
    }.get(weights, f"uploaded weights {weights}")
    source = {"source": "external", "name": name, "weights": weights, "seed": seed}
    problem = None
    chosen = data or DataSpec()
    if data is None or data_info(data).input_shape[0] != 3:
        problem = f"{name} takes colour images: choose a folder of images or CIFAR-10 under Images."
    elif data.name == "folder" and "image_size" not in data.model_fields_set:
        chosen = data.model_copy(update={"image_size": IMAGENET_SIDE})
    return SourceNet(
        token=name if weights is None else f"{name}{WEIGHTS}{weights}",
        name=name if weights is not None else f"{name}, untrained",
        origin=origin,
        source=source,
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
                words[f"{RUN}{experiment.id}.{lane}"] = f"{title_of(spec)} · run {experiment.name}"
    return words


def token_of_lane(state: PageState, lane: int) -> str:
    """What Compare's lane is called here: its run, the shipped weights, or the fresh net."""
    if state.run is not None:
        return f"{RUN}{state.run}.{lane}{_at(state, lane)}"
    card = shipped_card(state, lane)
    return card.name if card is not None else token_of(state.lanes[lane])


def _at(state: PageState, lane: int) -> str:
    """``@STEP`` of the weights kept last before the moment that the page looks at, if any."""
    if state.run is None or state.at is None:
        return ""
    try:
        step = get_service().moment(state.run, state.at).lanes[lane].weights_step
    except SkipscopeError:  # the run is gone: the page that is linked to says so
        return ""
    return "" if step is None else f"@{step}"


def _shape(shape: tuple[int, ...]) -> str:
    return "×".join(str(n) for n in shape)
