"""What a sweep trains: a net of every depth, from every seed."""

from __future__ import annotations

from dataclasses import dataclass

from explorer.data.catalog import data_info
from explorer.errors import SpecError
from explorer.structure.blueprint import blueprint
from explorer.structure.names import spec_of
from explorer.structure.shared_start import what_differs
from explorer.structure.specs import (
    RECIPES,
    ExperimentSpec,
    NetSpec,
    SweepSpec,
    TrainSpec,
    fit,
    parse,
)
from explorer.structure.variants import for_units_per_batch

NEAR = 5  # layers, at most, that a depth is changed by to be one of the net's


@dataclass(frozen=True)
class Planned:
    """One run: a net of one depth, from one seed (fully connected nets: from all at once).

    Attributes:
        work: Multiply-adds of all its steps, about: what it costs in relation to the others.
    """

    id: str
    net: str
    experiment: ExperimentSpec
    work: float

    @property
    def lane(self) -> NetSpec:
        return self.experiment.lanes[0]


def of_depth(net: str, depth: int) -> NetSpec:
    """The net that a name with N stands for at a depth, or at the nearest possible one.

    Of residual nets the name alone means units of two layers at every depth: nets of different
    units are not one family.

    Raises:
        SpecError: There is none of about this depth, or the name is no net's.
    """
    name, semicolon, changes = net.partition(";")
    first: SpecError | None = None
    for near in sorted(range(-NEAR, NEAR + 1), key=abs):
        try:
            lane = spec_of(f"{name.replace('N', str(depth + near))}{semicolon}{changes}")
        except SpecError as error:
            first = first or error
        else:
            other = lane.layout == "cifar" and getattr(lane, "unit", "basic") != "basic"
            if not other or "unit" in changes:
                return lane
    assert first is not None
    raise first


def plan(spec: SweepSpec) -> list[Planned]:
    """All runs, the first seed of every net and depth first, shallow ones first.

    Raises:
        SpecError: A net is not possible.
        DataError: The folder of images cannot be used.
    """
    info = data_info(spec.data)
    runs: dict[str, Planned] = {}
    for place in range(spec.seeds):
        for depth in spec.depths:
            for net in spec.nets:
                lane = fit(of_depth(net, depth), info.input_shape, len(info.classes))
                if spec.training.units_per_batch is not None:
                    lane = for_units_per_batch(lane, spec.training.units_per_batch)
                at_once = spec.seeds if lane.layout == "fc" else 1
                if at_once > 1 and place > 0:
                    continue
                seed = spec.seed + place
                name = f"{_file_name(net)}-depth-{lane.depth}-seed-{seed}"
                experiment = {
                    "lanes": [lane.model_dump()],
                    "data": spec.data.model_dump(),
                    "training": spec.training.model_dump(),
                    "seed": seed,
                    "seeds": at_once,
                    "device": spec.device,
                }
                images = spec.training.steps * spec.training.batch_size * at_once
                work = float(blueprint(lane).multiply_adds * images)
                runs[name] = Planned(name, net, parse(ExperimentSpec, experiment), work)
    return list(runs.values())


def differences(spec: SweepSpec) -> str:
    """What the nets of a sweep have differently, at the greatest depth; empty for one net."""
    if len(spec.nets) < 2:
        return ""
    info = data_info(spec.data)
    depth = spec.depths[-1]
    lanes = [fit(of_depth(net, depth), info.input_shape, len(info.classes)) for net in spec.nets]
    return f"At {depth} layers: {what_differs(lanes).replace('The lanes', 'the nets', 1)}"


def in_words(training: TrainSpec) -> str:
    """The recipe's name, and what was chosen otherwise: ``one_cycle, batch_size 32``."""
    usual = RECIPES.get(training.recipe, RECIPES["one_cycle"])
    changed = [
        f"{name} {value}"
        for name, value in training
        if name not in ("recipe", "steps") and value != getattr(usual, name)
    ]
    return ", ".join([training.recipe, *changed])


def _file_name(net: str) -> str:
    return "".join(c if c.isalnum() or c in "._-" else "_" for c in net)
