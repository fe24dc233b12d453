"""Read a person's own image for a net, and refuse in one sentence what is not one."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from explorer.data.images import MAX_FILE_BYTES as MAX_BYTES
from explorer.data.images import MAX_PIXELS, fitted
from explorer.errors import DataError

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
    channels, height, width = input_shape
    if channels not in (1, 3):
        raise DataError(
            f"An image has 1 or 3 channels and this net takes {channels}; "
            "choose a net for images of 1 or 3 channels."
        )
    content, name = _content(source)
    picture = _decoded(content, name, (width, height)).convert("L" if channels == 1 else "RGB")
    pixels = np.asarray(picture).reshape(height, width, channels)
    return torch.from_numpy(pixels.transpose(2, 0, 1).copy())


def _content(source: str | Path | bytes) -> tuple[bytes, str]:
    if isinstance(source, bytes):
        content, name = source, "The file"
    else:
        path = Path(source)
        # A kept image has a name that means nothing to whoever chose it.
        name = "The file" if path.suffix == ".picture" else f"The file {path.name!r}"
        try:
            if path.exists() and not path.is_file():  # a device or pipe may never end
                raise DataError(f"{name} is no file; choose an image file ({', '.join(FORMATS)}).")
            with path.open("rb") as file:
                content = file.read(MAX_BYTES + 1)
        except OSError as error:
            raise DataError(f"{name} cannot be read: {error.strerror or error}.") from None
        except ValueError:  # a path with a zero byte inside
            raise DataError("The path of the image has a zero byte inside; check it.") from None
    if len(content) > MAX_BYTES:
        raise DataError(
            f"{name} is larger than {MAX_BYTES >> 20} MB; save it smaller and try again."
        )
    if not content:
        raise DataError(f"{name} is empty; choose an image file ({', '.join(FORMATS)}).")
    return content, name


def _decoded(content: bytes, name: str, size: tuple[int, int]) -> Image.Image:
    millions = MAX_PIXELS // 1_000_000
    try:
        with warnings.catch_warnings():
            # Pillow warns of a decompression bomb above its own limit; ours is lower.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            picture = Image.open(io.BytesIO(content), formats=FORMATS)
        columns, rows = picture.size
        if columns * rows > MAX_PIXELS:
            raise DataError(
                f"{name} has {columns} × {rows} pixels, more than the {millions} million that "
                "are read; save it smaller and try again."
            )
        picture.load()
        return fitted(picture, size)
    except DataError:
        raise
    except Image.DecompressionBombError:
        raise DataError(
            f"{name} has more than the {millions} million pixels that are read; save it smaller "
            "and try again."
        ) from None
    except UnidentifiedImageError:
        raise DataError(
            f"{name} is not an image that can be read; choose one of {', '.join(FORMATS)}."
        ) from None
    # Decoders of damaged files raise OSError, SyntaxError, ValueError, struct.error, zlib.error…
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        raise DataError(f"{name} is damaged or cut short ({reason}); save it again.") from None
