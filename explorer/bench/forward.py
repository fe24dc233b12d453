"""Seconds of a forward pass: the net as it stands, made fast, and against its twin elsewhere.

``ratio`` is the plain pass (float32, contiguous, batch norms apart) ÷ the case; in the rows that
name a twin, a net of the same structure from timm or torchvision, it is the twin's pass ÷ ours,
both in the same precision and layout. The twin of an adapted net is its library's own module.
"""

from __future__ import annotations

import copy
import importlib.util
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from explorer.bench import conditions, in_turns, row
from explorer.nets import Net, create_net
from explorer.nets.fast import FastNet
from explorer.structure.blueprint import blueprint, has_large_stem
from explorer.structure.library_nets import ExternalSpec
from explorer.structure.names import pytorch_conventions, spec_of
from explorer.structure.specs import DenseSpec, NetSpec, ResidualSpec, fit

REPORT_EVERY = 10  # steps


@dataclass(frozen=True)
class _Case:
    """One way of one net.

    Attributes:
        flop: Operations for one image: two for each multiply-add.
    """

    title: str
    dtype: str
    layout: str
    flop: int
    run: Callable[[], object]


def bench_forward(
    net: Net,
    *,
    images: int,
    repeats: int,
    device: str,
    burn_in: int = 1,
    seed: int = 0,
    note: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Rows of cases with seconds a batch, images and operations a second, and the conditions.

    Args:
        repeats: Timed steps of each case, taken in turns, after ``burn_in`` that are not counted.
        note: Told a line every ten steps.
    """
    net = net.to(device).eval()
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(images, *net.spec.input_shape, generator=generator).to(device)
    plain = _Case("as it stands", "float32", "contiguous", _flop(net), _run(net, x))
    fast = [FastNet(net, precision="float32", channels_last=False), FastNet(net)]
    if fast[-1].dtype != torch.float32:
        fast.insert(1, FastNet(net, precision="float32"))
    own = [plain, *(_fast_case("fast", net, quick, x) for quick in fast)]
    pairs = _with_twin(net, x, [fast[0], fast[-1]])

    cases = {_name(case): case for case in (*own, *(case for pair in pairs for case in pair))}
    lines = _Lines(note)
    works = {name: case.run for name, case in cases.items()}
    seconds = in_turns(works, repeats, device, burn_in=burn_in, after_each=lines.take)

    def one(title: str, reference: _Case, case: _Case) -> dict[str, Any]:
        taken = seconds[_name(case)]
        return row(title, seconds[_name(reference)], taken, **_rates(case, taken, images))

    rows = [one(_name(case), plain, case) for case in own]
    rows += [one(f"against {theirs.title}: {_form(ours)}", theirs, ours) for theirs, ours in pairs]
    shape = list(net.spec.input_shape)
    return {
        "rows": rows,
        "conditions": conditions(
            device, n=images, input_shape=shape, repeats=repeats, burn_in=burn_in
        ),
    }


def _form(case: _Case) -> str:
    return f"{case.dtype}, {case.layout}"


def _name(case: _Case) -> str:
    return f"{case.title}: {_form(case)}"


def _flop(net: Net) -> int:
    return 2 * net.blueprint.multiply_adds


def _fast_case(title: str, net: Net, quick: FastNet, x: Tensor) -> _Case:
    layout = "channels_last" if quick.channels_last else "contiguous"
    dtype = str(quick.dtype).removeprefix("torch.")
    return _Case(title, dtype, layout, _flop(net), lambda: quick(x))


def _run(net: nn.Module, x: Tensor) -> Callable[[], object]:
    @torch.inference_mode()
    def run() -> object:
        return net(x)

    return run


def _rates(case: _Case, seconds: list[float], images: int) -> dict[str, Any]:
    """Mean and standard deviation of a batch, images a second, achieved GFLOP/s."""
    median = statistics.median(seconds)
    return {
        "ours_mean_s": statistics.fmean(seconds),
        "ours_sd_s": statistics.stdev(seconds) if len(seconds) > 1 else 0.0,
        "images_per_second": images / median,
        "gflop_per_second": case.flop * images / median / 1e9,
        "dtype": case.dtype,
        "layout": case.layout,
    }


class _Lines:
    """A line for every ten steps of all cases."""

    def __init__(self, note: Callable[[str], None] | None) -> None:
        self._note = note

    def take(self, step: int, seconds: dict[str, list[float]]) -> None:
        if self._note is None or step % REPORT_EVERY:
            return
        means = {case: statistics.fmean(s[-REPORT_EVERY:]) for case, s in seconds.items()}
        told = "; ".join(f"{case} {mean:.4g}" for case, mean in means.items())
        self._note(f"step {step}, mean seconds of the last {REPORT_EVERY}: {told}")


# --------------------------------------------------------------------------------------- twins


@dataclass(frozen=True)
class Twin:
    """A net of another library, and ours that equals it.

    Attributes:
        spec: Ours in the twin's structure: timm's ResNet-v2 has its strides in the first units.
            An adapted net's own.
    """

    library: str
    name: str
    spec: NetSpec

    def build(self) -> nn.Module:
        made: nn.Module
        if self.library == "timm":
            import timm

            made = timm.create_model(self.name, num_classes=self.spec.classes)
        else:
            import torchvision

            made = torchvision.models.get_model(
                self.name, weights=None, num_classes=self.spec.classes
            )
        return made


def twin_of(spec: NetSpec) -> Twin | None:
    """The twin of an ImageNet net; None where there is none, or its library is not installed."""
    if isinstance(spec, ExternalSpec):
        library, _, name = spec.name.partition("_")
        return Twin(library, name, spec)
    depth = spec.depth
    if not has_large_stem(spec) or spec.input_shape[0] != 3:
        return None
    if isinstance(spec, DenseSpec):
        token, library, name = f"imagenet_densenet_{depth}", "torchvision", f"densenet{depth}"
    elif isinstance(spec, ResidualSpec) and spec.order == "full_preact":
        token = f"imagenet_resnet_v2_{depth}_pytorch;stride_unit=first"
        library, name = "timm", f"resnetv2_{depth}"
    else:
        token, library, name = f"imagenet_resnet_v1_{depth}", "torchvision", f"resnet{depth}"
    ours = fit(spec_of(token), spec.input_shape, spec.classes)
    # of these ours is then built like the twin
    free = {"stride_unit", *pytorch_conventions(spec.layout, spec.family)}
    if spec.model_dump(exclude=free) != ours.model_dump(exclude=free) or not _has(library, name):
        return None
    return Twin(library, name, ours)


def _has(library: str, name: str) -> bool:
    if library == "torchvision":
        import torchvision

        return name in torchvision.models.list_models()
    if importlib.util.find_spec(library) is None:
        return False
    import timm

    return name in timm.list_models(name)


def _with_twin(net: Net, x: Tensor, fast: list[FastNet]) -> list[tuple[_Case, _Case]]:
    """The twin and ours, in its structure; ``fast`` are the net in float32 and by default."""
    twin = twin_of(net.spec)
    if twin is None:
        return []
    title = f"{twin.library}'s {twin.name}"
    label, like = "fast", net
    if not isinstance(net.spec, ExternalSpec) and (
        blueprint(twin.spec).units != net.blueprint.units
    ):
        label, like = "fast, built as its twin", create_net(twin.spec, seed=0).to(x.device).eval()
        fast = [FastNet(like, precision="float32", channels_last=False), FastNet(like)]
    other = twin.build().to(x.device).eval()
    pairs = []
    for quick in fast:
        ours = _fast_case(label, like, quick, x)
        theirs = _theirs(other, x, quick.dtype, channels_last=quick.channels_last)
        pairs.append((_Case(title, ours.dtype, ours.layout, ours.flop, theirs), ours))
    return pairs


def _theirs(
    net: nn.Module, x: Tensor, dtype: torch.dtype, *, channels_last: bool
) -> Callable[[], object]:
    """A pass of any module in another precision and layout, from the same images to float32."""
    form = torch.channels_last if channels_last else torch.contiguous_format
    made = copy.deepcopy(net).to(dtype).to(memory_format=form)

    @torch.inference_mode()
    def run() -> object:
        return made(x.to(dtype).contiguous(memory_format=form)).float()

    return run
