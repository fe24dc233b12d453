"""The one image that an instrument looks at: a test image, or a person's own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from explorer.data.dataset import Dataset
from explorer.errors import DataError
from explorer.measuring.image import read_image

# Position among the test images, path, a file's bytes, or uint8 (C, H, W).
Image = int | str | Path | bytes | Tensor


@dataclass(frozen=True, eq=False)
class Picture:
    """An image as the nets see it, before normalisation.

    Attributes:
        name: ``test image 12``, or the file's name.
        pixels: uint8 (C, H, W), on the data's device.
        true_class: None for a person's own image.
    """

    name: str
    pixels: Tensor
    true_class: int | None

    def array(self) -> NDArray[np.uint8]:
        """uint8 (H, W, C), as results keep it."""
        return np.ascontiguousarray(self.pixels.cpu().numpy().transpose(1, 2, 0))


def picture(dataset: Dataset, image: Image) -> Picture:
    """The test image of that position, or another one made as the data's images are.

    Raises:
        DataError: There is no such test image, or the file is no image; see
            :func:`explorer.measuring.image.read_image`.
    """
    if isinstance(image, Tensor):
        shape = dataset.info.input_shape
        if image.dtype != torch.uint8 or tuple(image.shape) != shape:
            raise DataError(
                f"An image given as a tensor is uint8 of shape {shape}, as {dataset.info.title} "
                f"has them, not {str(image.dtype).removeprefix('torch.')} of {tuple(image.shape)}."
            )
        return Picture("your image", image.to(dataset.device), None)
    if not isinstance(image, int):
        name = "your image" if isinstance(image, bytes) else Path(image).name
        pixels = read_image(image, dataset.info.input_shape)
        return Picture(name, pixels.to(dataset.device), None)
    n = len(dataset.test_labels)
    if not 0 <= image < n:
        raise DataError(
            f"There is no test image {image}: {dataset.info.title} has {n}, 0 to {n - 1}."
        )
    true_class = int(dataset.test_labels[image])
    return Picture(f"test image {image}", dataset.test_images[image], true_class)
