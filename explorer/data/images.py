"""Image files to pixels, whatever they are, and one sentence where they cannot be."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from explorer.errors import DataError

MAX_FILE_BYTES = 32 << 20  # of one image that a person brings
MAX_PIXELS = 64_000_000  # of one file; a bomb of a few kB can claim billions
MAX_BYTES = 8 * 2**30  # of one decoded data set


def decode_image(file: Path, image_size: int) -> NDArray[np.uint8]:
    """(3, image_size, image_size) RGB pixels of one file.

    The largest centred square is scaled; transparent pixels become white; 16-bit grey is scaled
    to 8 bits; a photograph's orientation tag is obeyed.

    Raises:
        DataError: The file is damaged, no image, or too large; the sentence names it.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(file) as image:
                _check_size(image, file)
                if image.size == (image_size, image_size) and image.mode == "RGB":
                    pixels = np.asarray(image)
                else:
                    pixels = np.asarray(fitted(image, (image_size, image_size)))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise DataError(_too_large(file)) from None
    except DataError:
        raise
    # Decoders of damaged files raise OSError, SyntaxError, ValueError, struct.error, zlib.error…
    except Exception as error:
        raise DataError(
            f"The image {str(file)!r} cannot be decoded ({error or type(error).__name__}): "
            "replace it with an intact png or jpeg file, or remove it."
        ) from None
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


def decode_images(
    files: Sequence[Path], image_size: int, progress: Callable[[float], None]
) -> NDArray[np.uint8]:
    """(N, 3, image_size, image_size) pixels; ``progress`` gets the share done, in [0, 1]."""
    size = len(files) * 3 * image_size**2
    if size > MAX_BYTES:
        raise DataError(
            f"{len(files)} images of {image_size}×{image_size} pixels take {size / 2**30:.0f} GiB "
            f"of memory, and {MAX_BYTES // 2**30} GiB are allowed: choose a smaller image_size."
        )
    images = np.empty((len(files), 3, image_size, image_size), dtype=np.uint8)
    for i, file in enumerate(files):
        images[i] = decode_image(file, image_size)
        if i % 256 == 0:
            progress(i / len(files))
    progress(1.0)
    return images


def _check_size(image: Image.Image, file: Path) -> None:
    if image.width * image.height > MAX_PIXELS:
        raise DataError(_too_large(file, f"{image.width}×{image.height} pixels"))


def _too_large(file: Path, size: str = "far too many pixels") -> str:
    return (
        f"The image {str(file)!r} has {size}, and {MAX_PIXELS // 10**6} million are allowed: "
        "scale it down, or remove it."
    )


def fitted(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """RGB of (width, height) ``size``; what becomes of it, :func:`decode_image` says."""
    image.draft("RGB", (2 * size[0], 2 * size[1]))  # JPEG: decode at a coarser scale
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):  # 16-bit grey
        grey = np.asarray(image, dtype=np.int64) >> 8
        image = Image.fromarray(grey.clip(0, 255).astype(np.uint8))
    if "A" in image.getbands() or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, image)
    image = image.convert("RGB")
    return ImageOps.fit(image, size, Image.Resampling.BILINEAR)
