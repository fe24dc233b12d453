"""Training steps of a convolutional net: the loop against what one writes first.

The plain way is a ``DataLoader`` over images, PIL's crop and flip, and a float32 step with the
default optimiser. Ours is :class:`explorer.training.Session` itself, with its records, and
gradients by layer every tenth step: all images one tensor, crop and flip in one gather,
channels_last, fused updates; in float32, and in bfloat16 autocast. The images are noise: that
changes nothing of the arithmetic (decoding files is left out on both sides).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from explorer.bench import conditions, in_turns, row
from explorer.data.dataset import Dataset, augmentation, build
from explorer.errors import SpecError
from explorer.nets import create_net
from explorer.specs import DataInfo, DataSpec, ExperimentSpec, NetSpec, TrainSpec
from explorer.training.loop import Session


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
    """Rows for float32 and bfloat16 with images a second, and the conditions.

    Args:
        steps: In each repeat.
        workers: Processes of the plain way's DataLoader; 0 loads in the training process.

    Raises:
        SpecError: The net's images are neither grey nor RGB, which PIL could not hold.
    """
    if spec.input_shape[0] not in (1, 3):
        raise SpecError(
            f"The plain way needs images of 1 or 3 channels, not {spec.input_shape[0]}: choose a "
            "net for grey or RGB images."
        )
    data = _noise(spec, steps * batch, seed)
    plain = _PlainWay(spec, data, batch, workers, device, seed)
    cases: dict[str, Callable[[], object]] = {"plain": plain.train}
    for precision in ("float32", "bfloat16"):
        session = _session(spec, data, batch, precision, device, seed)
        cases[precision] = partial(_advance, session, steps)
    seconds = in_turns(cases, repeats, device)
    images = steps * batch
    rows = [
        row(
            f"{steps} steps of {batch} images, {precision}",
            seconds["plain"],
            seconds[precision],
            dtype=precision,
            images_per_second=images / sorted(seconds[precision])[repeats // 2],
            plain_images_per_second=images / sorted(seconds["plain"])[repeats // 2],
        )
        for precision in ("float32", "bfloat16")
    ]
    return {
        "rows": rows,
        "conditions": conditions(
            device,
            dtype="as in each case; the plain way in float32",
            n=images,
            input_shape=list(spec.input_shape),
            repeats=repeats,
            loader_workers=workers,
        ),
    }


def _noise(spec: NetSpec, n: int, seed: int) -> Dataset:
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


def _session(
    spec: NetSpec, data: Dataset, batch: int, precision: str, device: str, seed: int
) -> Session:
    steps = 10_000_000
    training = TrainSpec.model_validate(
        {"steps": steps, "batch_size": batch, "eval_every": steps, "precision": precision}
    )
    experiment = ExperimentSpec.model_validate(
        {
            "lanes": [spec.model_dump()],
            "data": data.spec.model_dump(),
            "training": training.model_dump(),
            "seed": seed,
            "device": torch.device(device).type,
        }
    )
    return Session(experiment, data)


def _advance(session: Session, steps: int) -> None:
    for _ in range(steps):
        session.advance()


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


class _PlainWay:
    def __init__(
        self, spec: NetSpec, data: Dataset, batch: int, workers: int, device: str, seed: int
    ) -> None:
        self._loader = torch.utils.data.DataLoader(
            _Images(data), batch, shuffle=True, drop_last=True, num_workers=workers,
            persistent_workers=workers > 0,
        )  # fmt: skip
        self._device = device
        self._net = create_net(spec, seed=seed).to(device)
        self._update = torch.optim.SGD(
            self._net.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4
        )

    def train(self) -> float:
        """One epoch; returns the summed loss, which is read at every step."""
        total = 0.0
        for images, labels in self._loader:
            logits = self._net(images.to(self._device))
            loss = F.cross_entropy(logits, labels.to(self._device))
            self._update.zero_grad()
            torch.autograd.backward(loss)
            self._update.step()
            total += loss.item()
        return total
