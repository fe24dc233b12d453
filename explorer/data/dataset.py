"""A data set as tensors on one device, and the batches of a training.

All images of a data set are one uint8 tensor: picking, cropping and normalising a batch are a
few operations on the device, instead of a decoder and a queue of processes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from explorer.data.order import (
    Indices,
    balanced,
    equally_many,
    in_shares,
    is_skewed,
    permutation,
    random_bits,
)
from explorer.errors import SpecError
from explorer.structure.specs import DataInfo, DataSpec
from explorer.structure.trained_on import TrainedOn, normalisation

Progress = Callable[[str, float], None]

# Streams of random numbers drawn from one seed.
_LIMIT, _SHUFFLE, _AUGMENT = 1, 2, 3
_CUTOUT, _NOISE = 6, 7  # 4 and 5 are the training loop's


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images and labels for training and testing.

    Attributes:
        train_images: uint8 (N, C, H, W), values 0 … 255.
        train_labels: int64 (N,), indices into ``info.classes``.
        mean: float32 (C,), of all training images (before any limit), pixels scaled to [0, 1].
        std: float32 (C,), likewise; never 0.
        whose: Whose mean and deviation these are, where they are not the images' own.
    """

    spec: DataSpec
    info: DataInfo
    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor
    mean: Tensor
    std: Tensor
    whose: str = ""

    @property
    def device(self) -> torch.device:
        return self.train_images.device

    def to(self, device: torch.device | str) -> Dataset:
        """The same data set with every tensor on ``device``; itself if it is there already."""
        device = torch.device(device)
        if device == self.device:
            return self
        names = ("train_images", "train_labels", "test_images", "test_labels", "mean", "std")
        return replace(self, **{name: getattr(self, name).to(device) for name in names})

    def normalised_by(
        self, mean: Sequence[float], std: Sequence[float], whose: str = "the weights'"
    ) -> Dataset:
        """The same images for a net that was trained on others: normalised as those were."""
        if not mean or len(mean) != len(self.mean):
            return self
        own, theirs = self.mean.new_tensor(mean), self.std.new_tensor(std)
        return replace(self, mean=own, std=theirs, whose=whose)

    @property
    def normalisation(self) -> str:
        """By what images are normalised, in words; and how they were cut, where that was chosen."""
        whose = self.whose or "the images' own"
        words = normalisation(whose, self.mean.tolist(), self.std.tolist())
        side, resize = self.spec.image_size, self.spec.resize
        cut = f"short side {resize} pixels, of that the central {side}, " if resize else ""
        return cut + words

    def normalise(self, images: Tensor) -> Tensor:
        """float32 images with mean 0 and deviation 1 per channel, from uint8 (…, C, H, W)."""
        scale, shift = self._scale_and_shift
        return images * scale.to(images.device) - shift.to(images.device)

    @cached_property
    def _scale_and_shift(self) -> tuple[Tensor, Tensor]:
        """(C, 1, 1) each."""
        return (1 / (255 * self.std))[:, None, None], (self.mean / self.std)[:, None, None]

    def some_train(self, n: int) -> Tensor:
        """Positions of a fixed choice of at most ``n`` training images, each class in its share, or
        with equally many where the spec says so."""
        return self._some(self.train_labels, n)

    def some_test(self, n: int) -> Tensor:
        """The same of test images."""
        return self._some(self.test_labels, n)

    def _some(self, labels: Tensor, n: int) -> Tensor:
        chosen = _chosen(labels.cpu().numpy(), n, self.spec.balanced)
        return torch.from_numpy(chosen).to(self.device)

    @cached_property
    def skew(self) -> str:
        """In words, how far from equally many images the classes have; empty where they have.

        That they have is said where it was chosen.
        """
        if self.spec.balanced:
            return "equally many images of each class, as chosen"
        labels = self.test_labels.cpu().numpy()
        if not is_skewed(labels):
            return ""
        counts = np.bincount(labels, minlength=len(self.info.classes))
        least, most = int(counts.argmin()), int(counts.argmax())
        low, high = (100 * int(counts[i]) / len(labels) for i in (least, most))
        return (
            f"classes in their own shares, {self.info.classes[least]} {low:.2g} % to "
            f"{self.info.classes[most]} {high:.2g} %"
        )


def build(
    spec: DataSpec,
    info: DataInfo,
    train: tuple[Tensor, Tensor],
    test: tuple[Tensor, Tensor],
) -> Dataset:
    """A data set on the CPU from all its images and labels, limited as ``spec`` says.

    Its training labels are noisy where ``spec`` says so.
    """
    mean, std = channel_statistics(train[0])
    train_images, train_labels = _limit(*train, spec.train_limit, spec.balanced)
    train_labels = noisy(train_labels, spec.label_noise, len(info.classes))
    most = equally_many(test[1].numpy()) if spec.balanced else None
    test_images, test_labels = _limit(*test, spec.test_limit or most, spec.balanced)
    return Dataset(
        spec, info, train_images, train_labels, test_images, test_labels, mean=mean, std=std
    )


def trained_on(dataset: Dataset) -> TrainedOn:
    """What belongs to weights that are trained on these images."""
    title = dataset.info.title if dataset.spec.name == "folder" else dataset.spec.name
    return TrainedOn(
        data=title,
        mean=tuple(dataset.mean.tolist()),
        std=tuple(dataset.std.tolist()),
        classes=dataset.info.classes,
    )


def channel_statistics(images: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (C,) of uint8 images (N, C, H, W) on the scale 0 … 1.

    The sums are exact integers, so the result is the same on every machine.
    """
    channels = images.shape[1]
    total = torch.zeros(channels, dtype=torch.int64)
    squares = torch.zeros(channels, dtype=torch.int64)
    for start in range(0, len(images), 2048):
        values = images[start : start + 2048].to(torch.int32)
        total += values.sum(dim=(0, 2, 3))  # an int64, as of every integer type
        squares += values.square_().sum(dim=(0, 2, 3))
    n = images.numel() // channels
    mean = total.double() / n
    variance = squares.double() / n - mean.square()
    std = variance.clamp(min=1.0).sqrt()  # a channel of one colour is left unscaled
    return (mean / 255).float(), (std / 255).float()


def _limit(images: Tensor, labels: Tensor, limit: int | None, equal: bool) -> tuple[Tensor, Tensor]:
    if limit is None or (limit >= len(labels) and not equal):
        return images, labels
    chosen = torch.from_numpy(_chosen(labels.numpy(), limit, equal))
    return images[chosen], labels[chosen]


def _chosen(labels: Indices, n: int, equal: bool) -> Indices:
    """Positions of at most ``n``, each class in its share or, to within one, with equally many."""
    if equal:
        return balanced(labels, min(n, equally_many(labels)), _LIMIT)
    return in_shares(labels, n, _LIMIT)


def noisy(labels: Tensor, share: float, classes: int) -> Tensor:
    """Labels of which the given share, rounded to whole labels, are now another class each.

    A larger share changes the same labels and more.
    """
    n = round(share * len(labels))
    if n == 0:
        return labels
    chosen = torch.from_numpy(permutation(len(labels), _NOISE)[:n])
    shift = 1 + (random_bits(n, _NOISE, 1) % np.uint64(classes - 1)).astype(np.int64)
    changed = labels.clone()
    changed[chosen] = (labels[chosen] + torch.from_numpy(shift)) % classes
    return changed


def augmentation(name: str, side: int) -> tuple[int, bool]:
    """(pixels of padding, whether to flip): what leaves the class of an image as it is."""
    if name in ("cifar10", "cifar100", "folder"):
        return max(1, side // 8), True  # 4 at 32 pixels, as He15 §4.2
    return 1, False


class Batches:
    """The batches of a training: a pure function of (seed, step).

    Every epoch visits the training images in a new order; what is left over at its end, less
    than a batch, is dropped. All lanes, and any resumed run, see the same batches.

    Raises:
        SpecError: A batch is larger than the training set, or the cut-out than its images.
    """

    def __init__(self, dataset: Dataset, batch_size: int, seed: int, augment: bool) -> None:
        n = len(dataset.train_labels)
        if batch_size > n:
            raise SpecError(
                f"A batch of {batch_size} images is larger than the training set of {n}: "
                f"choose a batch of at most {n}."
            )
        size = min(dataset.train_images.shape[-2:])
        self._cutout = dataset.spec.cutout
        if self._cutout > size:
            raise SpecError(
                f"A cut-out of {self._cutout} pixels is larger than the images of "
                f"{dataset.info.title}: choose at most {size}, or 0 for none."
            )
        self.dataset = dataset
        self.batch_size = batch_size
        self.seed = seed
        self.steps_per_epoch = n // batch_size
        self._pad, self._flip = augmentation(dataset.spec.name, size) if augment else (0, False)
        self._epoch = -1
        self._order = torch.empty(0, dtype=torch.int64)

    def at(self, step: int) -> tuple[Tensor, Tensor]:
        """Images (B, C, H, W), normalised float32, and labels (B,) of one step, from 0."""
        chosen = self.indices(step)
        images = self.dataset.train_images.index_select(0, chosen)
        if self._pad:
            images = crop_and_flip(images, self._pad, self._flip, (self.seed, step))
        images = self.dataset.normalise(images)
        if self._cutout:
            images *= cutout_mask(images, self._cutout, (self.seed, step))
        return images, self.dataset.train_labels.index_select(0, chosen)

    def indices(self, step: int) -> Tensor:
        """Positions (B,) in the training set of one step's images."""
        epoch, place = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            n = len(self.dataset.train_labels)
            order = permutation(n, _SHUFFLE, self.seed, epoch)
            self._order = torch.from_numpy(order).to(self.dataset.device)
            self._epoch = epoch
        start = place * self.batch_size
        return self._order[start : start + self.batch_size]


def crop_and_flip(images: Tensor, pad: int, flip: bool, key: tuple[int, int]) -> Tensor:
    """A random crop of each image padded with black, mirrored half the time if ``flip``.

    One gather for the whole batch; the draws depend on ``key`` (seed, step) alone.

    Args:
        images: (B, C, H, W) of any type.
    """
    n, channels, height, width = images.shape
    rows, columns = (
        torch.from_numpy(positions).to(images.device)
        for positions in crop_positions(n, (height, width), pad, flip, key)
    )
    index = (rows[:, :, None] * (width + 2 * pad) + columns[:, None, :]).view(n, 1, -1)
    padded = F.pad(images, (pad, pad, pad, pad)).flatten(2)
    return padded.gather(2, index.expand(n, channels, -1)).view(n, channels, height, width)


def cutout_mask(images: Tensor, side: int, key: tuple[int, int]) -> Tensor:
    """1 where an image stays, 0 in a square at a random place, (B, 1, H, W).

    The square's centre may lie anywhere in the image, as in the paper, so that some squares are
    cut by its edge. Zero is the mean of the normalised images.
    """
    n, _, height, width = images.shape
    bits = random_bits(n, _CUTOUT, *key)
    masks = []
    for shift, length in ((40, height), (16, width)):
        centre = ((bits >> np.uint64(shift) & np.uint64(0xFFFFFF)) % np.uint64(length)).astype(
            np.int64
        )
        start = centre[:, None] - side // 2
        place = np.arange(length)
        masks.append((place >= start) & (place < start + side))
    rows, columns = (torch.from_numpy(mask).to(images.device) for mask in masks)
    return (~(rows[:, None, :, None] & columns[:, None, None, :])).to(images.dtype)


def crop_positions(
    n: int, size: tuple[int, int], pad: int, flip: bool, key: tuple[int, int]
) -> tuple[Indices, Indices]:
    """Which padded rows (n, H) and columns (n, W) each image's crop is made of."""
    height, width = size
    bits = random_bits(n, _AUGMENT, *key)
    places = np.uint64(2 * pad + 1)
    top = ((bits >> np.uint64(40)) % places).astype(np.int64)
    left = ((bits >> np.uint64(16) & np.uint64(0xFFFFFF)) % places).astype(np.int64)
    mirrored = (bits & np.uint64(1)).astype(bool) & flip
    across = np.arange(width, dtype=np.int64)
    columns = np.where(mirrored[:, None], across[::-1], across)
    return top[:, None] + np.arange(height, dtype=np.int64), left[:, None] + columns
