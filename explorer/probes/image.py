"""Read a person's own image for a net, and refuse in one sentence what is not one."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from explorer.errors import DataError

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

MAX_BYTES = 32 << 20
MAX_PIXELS = 64_000_000
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF")


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
    import torch

    channels, height, width = input_shape
    if channels not in (1, 3):
        raise DataError(
            f"An image has 1 or 3 channels and this net takes {channels}; "
            "choose a net for images of 1 or 3 channels."
        )
    content, name = _content(source)
    picture = _decoded(content, name)
    pixels = np.asarray(_fitted(picture, "L" if channels == 1 else "RGB", (width, height)))
    return torch.from_numpy(pixels.reshape(height, width, channels).transpose(2, 0, 1).copy())


def _content(source: str | Path | bytes) -> tuple[bytes, str]:
    if isinstance(source, bytes):
        content, name = source, "The image"
    else:
        path, name = Path(source), f"The file {Path(source).name!r}"
        try:
            size = path.stat().st_size
            content = path.read_bytes() if size <= MAX_BYTES else b"\0" * (MAX_BYTES + 1)
        except OSError as error:
            raise DataError(f"{name} cannot be read: {error.strerror or error}.") from None
    if len(content) > MAX_BYTES:
        raise DataError(
            f"{name} is larger than {MAX_BYTES >> 20} MB; save it smaller and try again."
        )
    if not content:
        raise DataError(f"{name} is empty; choose an image file ({', '.join(FORMATS)}).")
    return content, name


def _decoded(content: bytes, name: str) -> Image.Image:
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            # Pillow warns of a decompression bomb before our own, lower limit speaks.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            picture = Image.open(io.BytesIO(content), formats=FORMATS)
        columns, rows = picture.size
        if columns * rows > MAX_PIXELS:
            raise DataError(
                f"{name} has {columns} × {rows} pixels, more than the {MAX_PIXELS // 1_000_000} "
                "million that are read; save it smaller and try again."
            )
        picture.load()
    except Image.DecompressionBombError:
        raise DataError(
            f"{name} has more than the {MAX_PIXELS // 1_000_000} million pixels that are read; "
            "save it smaller and try again."
        ) from None
    except UnidentifiedImageError:
        raise DataError(
            f"{name} is not an image that can be read; choose one of {', '.join(FORMATS)}."
        ) from None
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        # Pillow reports truncated and damaged files as any of these.
        raise DataError(
            f"{name} is damaged or cut short ({_first_line(error)}); save it again."
        ) from None
    return picture


def _fitted(picture: Image.Image, mode: str, size: tuple[int, int]) -> Image.Image:
    from PIL import Image, ImageOps

    upright = ImageOps.exif_transpose(picture)
    if upright.mode.startswith("I"):  # 16 bits a pixel: convert() would clip, not scale
        grey = np.asarray(upright, dtype=np.float64) / 257
        upright = Image.fromarray(np.clip(np.rint(grey), 0, 255).astype(np.uint8))
    if upright.has_transparency_data:
        white = Image.new("RGBA", upright.size, "white")
        upright = Image.alpha_composite(white, upright.convert("RGBA"))
    return ImageOps.fit(upright.convert(mode), size, method=Image.Resampling.BICUBIC)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
