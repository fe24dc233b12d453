"""The reference programs that the project starts from: counted, for they print no results."""

from __future__ import annotations

from explorer.claims import says
from explorer.instruments.amplifier.result import WorkedExample
from explorer.instruments.counted_paths import multiplicity
from explorer.reproduce.common import by, counted, counted_lines
from explorer.reproduce.contract import Counts, Figure, Line, Measurement, Number, Verdict
from explorer.structure.blueprint import blueprint
from explorer.structure.names import spec_of

_UNITS = {
    "imagenet_resnet_v2_50": (3, 4, 6, 3),
    "imagenet_resnet_v2_101": (3, 4, 23, 3),
    "imagenet_resnet_v2_152": (3, 8, 36, 3),
    "imagenet_resnet_v2_200": (3, 24, 36, 3),
}
_FAMILIES = ("plain", "residual", "highway", "dense")


def _reference() -> dict[str, int]:
    found = {}
    for family in _FAMILIES:
        plan = blueprint(spec_of(f"reference_{family}_25"))
        own = [unit for unit in plan.units if unit.kind == family]
        found[f"{family}: units"] = len(own)
        found[f"{family}: groups"] = len({unit.stage for unit in own})
    return found


def _imagenet() -> dict[str, str]:
    found = {}
    for net, stages in _UNITS.items():
        units = blueprint(spec_of(net)).units
        found[net] = ", ".join(str(sum(u.stage == s for u in units)) for s in range(len(stages)))
    return found


def _small() -> dict[str, int]:
    return {
        f"{version}: units": len(blueprint(spec_of(f"small_resnet_{version}")).units)
        for version in ("v1", "v2")
    }


def _amplifier() -> dict[str, float]:
    example = WorkedExample()
    return {
        "plain map": round(100 * example.plain_change, 6),
        "residual F": round(100 * example.residual_change, 6),
    }


def _multiplicity() -> dict[str, float]:
    found = multiplicity(spec_of("resnet_v2_56"))
    return {
        "paths of a net, as a power of 2": found.net.two_way,
        "deeper nets that have more paths": float(
            all(
                (o.two_way > found.net.two_way) == (o.depth > found.net.depth) for o in found.deeper
            )
        ),
        "wider nets that have as many": float(
            all(other.two_way == found.net.two_way for other in found.wider)
        ),
    }


def _multiplicity_lines(row: Figure, m: Measurement | None) -> list[Line]:
    if m is None:
        return [Line("paths", "grow with depth, not with width")]
    numbers = m.numbers
    return [
        Line(
            "ResNet-56: number of paths",
            "2ⁿ, n units",
            f"2^{numbers['paths of a net, as a power of 2']:g}",
        ),
        Line(
            "deeper nets have more paths",
            "yes",
            "yes" if numbers["deeper nets that have more paths"] else "no",
        ),
        Line(
            "wider nets have as many",
            "yes",
            "yes" if numbers["wider nets that have as many"] else "no",
        ),
    ]


def _multiplicity_judged(row: Figure, m: Measurement) -> Verdict:
    both = bool(
        m.numbers["deeper nets that have more paths"] and m.numbers["wider nets that have as many"]
    )
    return Verdict(
        "yes" if both else "no",
        "Counted, deeper nets have more paths and wider ones as many: a dimension beside depth and "
        "width."
        if both
        else "Counted, paths do not follow depth alone.",
        "Nothing is drawn at random here, so there is no interval.",
    )


def _amount(numbers: dict[str, int], source: str) -> dict[str, Number]:
    return {name: Number(n, "", source) for name, n in numbers.items()}


ROWS = (
    Figure(
        key="programs_25",
        paper="programs",
        item="25-layer nets",
        title="The families side by side",
        shows="Nets of 25 units of 64 maps in five groups; the unit is residual, highway or dense. "
        "There is no plain program; that row is the same frame.",
        numbers=_amount(
            {
                f"{family}: {what}": n
                for family in _FAMILIES
                for what, n in (("units", 25), ("groups", 5))
            },
            "the programs",
        ),
        how=Counts(_reference),
        lines=counted_lines,
        judge=counted,
        draw=by("counted"),
        caution="These programs train on CIFAR-10 with Adam and print no accuracy that could be "
        "compared. That the nets answer as the programs do is a test "
        "(tests/test_reference_programs.py).",
    ),
    Figure(
        key="programs_imagenet",
        paper="programs",
        item="ResNet-v2-50 to -200",
        title="ImageNet's pre-activation nets",
        shows="Bottleneck units by stage of ResNet-v2-50, -101, -152 and -200.",
        numbers={
            net: Number(None, "", "the program", ", ".join(map(str, stages)))
            for net, stages in _UNITS.items()
        },
        how=Counts(_imagenet),
        lines=counted_lines,
        judge=counted,
    ),
    Figure(
        key="programs_small",
        paper="programs",
        item="Small v1 and v2 nets",
        title="The smallest ResNets",
        shows="A stem of 16 maps, one 16→16 and one 16→32 block, and a dense layer.",
        numbers=_amount({"v1: units": 2, "v2: units": 2}, "the programs"),
        how=Counts(_small),
        lines=counted_lines,
        judge=counted,
        draw=by("counted"),
    ),
    Figure(
        key="programs_timing",
        paper="programs",
        item="Forward timing",
        title="How long a forward pass takes",
        shows="Batches of 32 random images of 224×224, 10 steps of burn-in, 100 timed ones.",
        why_not="A time is this machine's, and the program prints none to compare with: `skipscope "
        "bench forward` and the page Timing measure yours.",
    ),
    Figure(
        key="programs_amplifier",
        paper="programs",
        item="Why a residual is easier to learn",
        title="A small change is louder for F",
        shows=says("amplifier.example"),
        numbers={
            "plain map": Number(2, "%", "the argument", "2 %"),
            "residual F": Number(100, "%", "the argument"),
        },
        how=Counts(_amplifier),
        lines=counted_lines,
        judge=counted,
        draw=by("counted"),
    ),
    Figure(
        key="programs_multiplicity",
        paper="programs",
        item="Multiplicity",
        title="A third dimension beside depth and width",
        shows=says("veit16.multiplicity"),
        how=Counts(_multiplicity),
        lines=_multiplicity_lines,
        judge=_multiplicity_judged,
    ),
)
