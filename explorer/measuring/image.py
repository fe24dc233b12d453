"""Read a person's own image for a net, and refuse in one sentence what is not one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from explorer.data.images import read_picture
from explorer.errors import DataError
from explorer.system.bounded import local_path


def read_image(source: str | Path | bytes, input_shape: tuple[int, int, int]) -> Tensor:
    """An image file as the net takes it, before normalisation: uint8 (C, H, W).

    Turned upright (EXIF), laid on white where it is transparent, cropped to the net's aspect
    around the middle and resized; one channel means luminance, three mean RGB. Of an animation
    the first frame.

    Args:
        source: A path, or the file's bytes.
        input_shape: (channels, height, width) of the net.

    Raises:
        DataError: No such file, not an image, cut short, or too large.
    """
    channels, height, width = input_shape
    if channels not in (1, 3):
        raise DataError(
            f"An image has 1 or 3 channels and this net takes {channels}; "
            "choose a net for images of 1 or 3 channels."
        )
    content, name = (source, "The file") if isinstance(source, bytes) else _named(source)
    picture = read_picture(content, name, (width, height))
    pixels = np.asarray(picture.convert("L" if channels == 1 else "RGB"))
    return torch.from_numpy(pixels.reshape(height, width, channels).transpose(2, 0, 1).copy())


def _named(source: str | Path) -> tuple[Path, str]:
    path = local_path(source, DataError)
    # A kept image has a name that means nothing to whoever chose it.
    return path, "The file" if path.suffix == ".picture" else f"The file {path.name!r}"
