"""The nets that the Net page shows: ours, another library's, either with a person's weights.

Named by the words of links, as on the Instruments page (:mod:`explorer.pages.shared.sources`), but
at the shape that the paper or the library built them for.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from explorer.errors import RunError, SpecError
from explorer.pages.server.leases import leases, this_viewer
from explorer.pages.shared.plans import plan_of
from explorer.runs.serve.service import RunService
from explorer.structure.blueprint import Blueprint, from_json
from explorer.structure.library_nets import TIMM, TORCHVISION
from explorer.structure.named_nets import WEIGHTS, OfLibrary, OfRun, Ours, Shipped, named
from explorer.structure.names import NETS, title_of, token_of
from explorer.structure.specs import NetSpec

PATIENCE = 60.0  # seconds; a cold worker imports the library first


@dataclass(frozen=True)
class ShownNet:
    """A net on the page.

    Attributes:
        token: What it is called in links, the uploaded weights included.
        name: The same without weights.
        spec: None for another library's net, which has none.
        weights: What was found in the uploaded file, as a sentence; None without one.
    """

    token: str
    name: str
    plan: Blueprint
    spec: NetSpec | None
    weights: str | None = None

    @property
    def title(self) -> str:
        return title_of(self.plan.spec)


def shown_net(service: RunService, token: str) -> ShownNet:
    """The net of a token.

    Raises:
        SkipscopeError: One sentence: no such net, or the weights are not this net's.
    """
    found = named(token)
    match found:
        case OfRun():
            raise SpecError(f"{token[:60]} is a lane of a run: look at it on Instruments.")
        case Shipped() | Ours(_, None):
            return ShownNet(token, token, plan_of(found.spec), found.spec)
        case Ours():
            plan, said = _asked(service, found.source(0))
            name = token.partition(WEIGHTS)[0]
            return ShownNet(f"{name}{WEIGHTS}{found.weights}", name, plan, plan.spec, said)
        case OfLibrary(name):
            plan, said = _asked(service, found.source(0))
            return ShownNet(found.token, name, plan, None, said)


def _asked(service: RunService, source: Mapping[str, object]) -> tuple[Blueprint, str | None]:
    """The blueprint that a worker read, and what it found in a file of weights."""
    job = leases.hold(service.submit("blueprint", {"net": source}), this_viewer())
    answer = job.wait(PATIENCE)
    if job.error is not None:
        raise SpecError(job.error)
    if answer is None:
        raise RunError("The worker that reads this net is busy: look again in a moment.")
    plan = from_json(answer["blueprint"])
    if answer["tensors"] is None:
        return plan, None
    shape = "×".join(str(n) for n in plan.spec.input_shape)
    return plan, (
        f"The weights are this net's: {answer['tensors']:,} tensors with {answer['values']:,} "
        f"values, for images of {shape} and {plan.spec.classes} classes."
    )


@lru_cache(maxsize=1)
def offered() -> tuple[str, ...]:
    """Names to choose from: the papers' rows, then other libraries' nets."""
    timm = [f"timm_{name}" for name in TIMM] if importlib.util.find_spec("timm") else []
    return (*NETS, *(f"torchvision_{name}" for name in TORCHVISION), *timm)


def file_name(net: ShownNet) -> str:
    """The stem of a file's name for what is downloaded."""
    name = net.name if net.spec is None else token_of(net.spec)
    return name.replace(";", "-").replace("=", "_")


__all__ = ["ShownNet", "file_name", "offered", "shown_net"]
