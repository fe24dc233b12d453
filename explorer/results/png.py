"""Pictures inside results: arrays here, PNG in base64 in JSON."""

from __future__ import annotations

import base64
import io

import numpy as np
from numpy.typing import NDArray


def to_png(pixels: NDArray[np.uint8]) -> str:
    """uint8 (H, W, C) of 1 or 3 channels as a PNG, base64."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def from_png(text: str) -> NDArray[np.uint8]:
    """The pixels of :func:`to_png`."""
    from PIL import Image

    with Image.open(io.BytesIO(base64.b64decode(text)), formats=["PNG"]) as picture:
        pixels = np.asarray(picture, dtype=np.uint8)
    return pixels[..., None] if pixels.ndim == 2 else pixels
