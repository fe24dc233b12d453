"""Training steps: the loop against what one writes first.

The plain way is a ``DataLoader`` over images, PIL's crop and flip, and a float32 step with the
default optimiser, net by net. Ours is :class:`explorer.training.Session` itself, with its records,
and gradients by layer every tenth step. A convolutional net: all images one tensor, crop and flip
in one gather, channels_last, fused updates, memory kept; in float32, and in bfloat16 autocast
where that pays. Fully connected lanes: one product a layer for all of them, against each lane
trained by itself in the same loop, and against the plain way of each.

Each case runs in a process of its own (:mod:`explorer.bench.apart`), in turns. The images are
noise: that changes nothing of the arithmetic (decoding files is left out on both sides).
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from explorer.bench import conditions, precisions, row
from explorer.bench.apart import Apart, Work
from explorer.data.dataset import Dataset, augmentation, build
from explorer.errors import SpecError
from explorer.nets import create_net
from explorer.structure.blueprint import blueprint
from explorer.structure.names import spec_of, token_of
from explorer.structure.specs import (
    MAX_LANES,
    DataInfo,
    DataSpec,
    ExperimentSpec,
    NetSpec,
    TrainSpec,
    fit,
)
from explorer.training.loop import Session

ENDLESS = 10_000_000  # steps of a training that is measured, not finished
CONVOLUTIONAL = ("resnet_v2_20", "resnet_v2_56", "highway_25", "densenet_40_k12")
FULLY_CONNECTED = ("fc_plain_50;width=50", "fc_residual_50;width=50", "fc_highway_50;width=50")
SHAPES = {"32×32": (3, 32, 32), "digits": (1, 8, 8)}


def suite(
    *,
    steps: int,
    batch: int,
    repeats: int,
    device: str,
    note: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """The nets of the papers at 32×32 and on images of the digits' size, and 50-layer lanes."""
    rows: list[dict[str, Any]] = []
    found: dict[str, Any] = {}
    measured = partial(bench_training, steps=steps, batch=batch, repeats=repeats, device=device)
    for name, shape in SHAPES.items():
        for token in CONVOLUTIONAL:
            found = measured(fit(spec_of(token), shape, 10))
            rows += found["rows"]
            _tell(note, f"{token}, {name}")
    lanes = [fit(spec_of(token), SHAPES["digits"], 10) for token in FULLY_CONNECTED]
    together = bench_lanes(lanes, steps=steps, batch=batch, repeats=repeats, device=device)
    rows += together["rows"]
    _tell(note, "fully connected lanes")
    kept = {k: v for k, v in found["conditions"].items() if k != "input_shape"}
    return {"rows": rows, "conditions": kept}


def _tell(note: Callable[[str], None] | None, text: str) -> None:
    if note is not None:
        note(f"Measured {text}.")


def bench_training(
    spec: NetSpec,
    *,
    steps: int,
    batch: int,
    repeats: int,
    device: str,
    workers: int = 0,
    seed: int = 0,
) -> dict[str, Any]:
    """Rows for float32, and bfloat16 where it pays, with images a second; and the conditions.

    ``peak_share`` is the arithmetic of the convolutions and linear maps, forward once and backward
    twice, over the time, against large matrix products of the same type in the same minute.
    ``gibibytes`` is what a process took at most while it trained.

    Args:
        steps: In each repeat.
        workers: Processes of the plain way's DataLoader; 0 loads in the training process.

    Raises:
        SpecError: The net's images are neither grey nor RGB, which PIL could not hold.
    """
    _check_channels(spec)
    threads = torch.get_num_threads()
    apart = partial(Apart, device=device, threads=threads)
    rest = (steps, batch, device, seed)
    cases = {"plain": apart(_plain_way, spec, workers, *rest)}
    kinds = precisions(device)
    for precision in kinds:
        cases[precision] = apart(_session_steps, (spec,), precision, True, *rest)
    seconds = _in_turns(cases, repeats)
    memory = {name: case.end() for name, case in cases.items()}
    images = steps * batch
    work = 6 * blueprint(spec).multiply_adds * images  # a multiply-add is two, three times over
    rows = []
    for precision in kinds:
        ours = statistics.median(seconds[precision])
        plain = statistics.median(seconds["plain"])
        rows.append(
            row(
                f"{token_of(spec)}, {_size(spec)}, {precision}",
                seconds["plain"],
                seconds[precision],
                dtype=precision,
                images_per_second=images / ours,
                plain_images_per_second=images / plain,
                peak_share=work / ours / matmul_peak(precision, device),
                gibibytes=_gibibytes(memory[precision]),
                plain_gibibytes=_gibibytes(memory["plain"]),
            )
        )
    return {
        "rows": rows,
        "conditions": conditions(
            device,
            plain_dtype="float32",
            batch=batch,
            steps=steps,
            n=images,
            input_shape=list(spec.input_shape),
            repeats=repeats,
            loader_workers=workers,
        ),
    }


def bench_lanes(
    specs: Sequence[NetSpec],
    *,
    steps: int,
    batch: int,
    repeats: int,
    device: str,
    workers: int = 0,
    seed: int = 0,
) -> dict[str, Any]:
    """Fully connected lanes in one product against each by itself, in the loop and plainly.

    Raises:
        SpecError: No lane, more than there can be, or images that PIL could not hold.
    """
    if not 0 < len(specs) <= MAX_LANES:
        raise SpecError(f"Give 1 to {MAX_LANES} lanes, not {len(specs)}.")
    for spec in specs:
        _check_channels(spec)
    apart = partial(Apart, device=device, threads=torch.get_num_threads())
    rest = (steps, batch, device, seed)
    cases = {"together": apart(_session_steps, tuple(specs), "float32", True, *rest)}
    for i, spec in enumerate(specs):
        cases[f"alone {i}"] = apart(_session_steps, (spec,), "float32", False, *rest)
        cases[f"plain {i}"] = apart(_plain_way, spec, workers, *rest)
    seconds = _in_turns(cases, repeats)
    for case in cases.values():
        case.end()
    n = range(len(specs))

    def sum_of(kind: str) -> list[float]:
        return [sum(turn) for turn in zip(*(seconds[f"{kind} {i}"] for i in n), strict=True)]

    images = steps * batch
    ours = statistics.median(seconds["together"])
    about = {"images_per_second": images / ours}
    names = ", ".join(token_of(spec) for spec in specs)
    return {
        "rows": [
            row(f"{names}: by themselves", sum_of("alone"), seconds["together"], **about),
            row(f"{names}: the plain way", sum_of("plain"), seconds["together"], **about),
        ],
        "conditions": conditions(
            device,
            dtype="float32",
            batch=batch,
            steps=steps,
            n=images,
            input_shape=list(specs[0].input_shape),
            repeats=repeats,
            loader_workers=workers,
        ),
    }


def matmul_peak(precision: str, device: str) -> float:
    """Operations a second of matrix products as in a linear map, the best of growing sizes.

    Sizes grow until one product takes a twentieth of a second: where a type has no arithmetic of
    its own in the processor, large products take minutes.
    """
    kind = {"float32": torch.float32, "bfloat16": torch.bfloat16}[precision]
    best, side, took = 0.0, 256, 0.0
    while side <= 8192 and took < 0.05:
        a = torch.ones(side, side, dtype=kind, device=device)
        for _ in range(3):
            start = time.perf_counter()
            F.linear(a, a)[0, 0].item()  # waits for the device
            took = time.perf_counter() - start
            best = max(best, 2 * side**3 / took)
        side *= 2
    return best


def _in_turns(cases: dict[str, Apart], repeats: int) -> dict[str, list[float]]:
    """Seconds of each case, in turns; the first turn is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    for turn in range(repeats + 1):
        for name, case in cases.items():
            took = case()
            if turn:
                seconds[name].append(took)
    return seconds


def _check_channels(spec: NetSpec) -> None:
    if spec.input_shape[0] not in (1, 3):
        raise SpecError(
            f"The plain way needs images of 1 or 3 channels, not {spec.input_shape[0]}: choose a "
            "net for grey or RGB images."
        )


def _gibibytes(n: int | None) -> float | None:
    return None if n is None else n / 2**30


def _size(spec: NetSpec) -> str:
    return "×".join(map(str, spec.input_shape[1:]))


# ------------------------------------------------------------------- in processes of their own


def _session_steps(
    specs: tuple[NetSpec, ...],
    precision: str,
    together: bool,
    steps: int,
    batch: int,
    device: str,
    seed: int,
) -> Work:
    """Steps of the loop."""
    data = noise(specs[0], steps * batch, seed)
    training = TrainSpec.model_validate(
        {"steps": ENDLESS, "batch_size": batch, "eval_every": ENDLESS, "precision": precision}
    )
    experiment = ExperimentSpec.model_validate(
        {
            "lanes": [spec.model_dump() for spec in specs],
            "data": data.spec.model_dump(),
            "training": training.model_dump(),
            "seed": seed,
            "device": torch.device(device).type,
        }
    )
    session = Session(experiment, data, together=together)

    def advance() -> None:
        for _ in range(steps):
            session.advance()

    return advance


def _plain_way(spec: NetSpec, workers: int, steps: int, batch: int, device: str, seed: int) -> Work:
    """An epoch of as many steps, written as one writes it first."""
    data = noise(spec, steps * batch, seed)
    loader = torch.utils.data.DataLoader(
        _Images(data), batch, shuffle=True, drop_last=True, num_workers=workers,
        persistent_workers=workers > 0,
    )  # fmt: skip
    net = create_net(spec, seed=seed).to(device)
    update = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4)

    def train() -> float:
        total = 0.0  # of the losses, which are read at every step
        for images, labels in loader:
            logits = net(images.to(device))
            loss = F.cross_entropy(logits, labels.to(device))
            update.zero_grad()
            torch.autograd.backward(loss)
            update.step()
            total += loss.item()
        return total

    return train


def noise(spec: NetSpec, n: int, seed: int) -> Dataset:
    """``n`` random images in the net's shape, cropped and flipped as CIFAR's."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (n, *spec.input_shape), generator=generator, dtype=torch.uint8)
    labels = torch.arange(n) % spec.classes
    info = DataInfo(
        title="noise",
        input_shape=spec.input_shape,
        classes=tuple(str(i) for i in range(spec.classes)),
    )
    data = DataSpec(name="folder", path="noise", augment=True)
    return build(data, info, (images, labels), (images[: spec.classes], labels[: spec.classes]))


class _Images(torch.utils.data.Dataset[tuple[Tensor, int]]):
    """PIL images through torchvision's usual transforms."""

    def __init__(self, data: Dataset) -> None:
        from torchvision import transforms

        pad, flip = augmentation(data.spec.name, data.train_images.shape[-1])
        self._images = [
            Image.fromarray(image.permute(1, 2, 0).squeeze(-1).numpy())
            for image in data.train_images
        ]
        self._labels = data.train_labels.tolist()
        self._transform = transforms.Compose(
            [
                transforms.RandomCrop(data.train_images.shape[-1], padding=pad),
                transforms.RandomHorizontalFlip(0.5 if flip else 0.0),
                transforms.ToTensor(),
                transforms.Normalize(data.mean.tolist(), data.std.tolist()),
            ]
        )

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self._transform(self._images[index]), self._labels[index]
