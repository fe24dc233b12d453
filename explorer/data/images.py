"""Image files to pixels: one opener for every door, within bounds, and one sentence where it fails.

A few kilobytes can claim to be billions of pixels, and Pillow knows some forty formats. So a file
is opened by the decoders of :data:`explorer.writing.formats.IMAGES` alone, whatever its name says,
and its size is read from its header before any of it is decoded.
"""

from __future__ import annotations

import io
import stat
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from explorer.data.stored import Cut
from explorer.errors import DataError
from explorer.writing.formats import IMAGE_FORMATS, listed

MAX_PIXELS = 16_000_000  # that are decoded of one image: 64 MB with four bytes a pixel
MAX_JPEG_PIXELS = 64_000_000  # of a JPEG, which is shrunk while it is decoded
MAX_SCANS = 100  # of a JPEG; a photograph has ten or so, each of which is decoded over all of it
MAX_FILE_BYTES = 64 << 20
MAX_BYTES = 8 * 2**30  # of one decoded data set
NAMED = 20  # of a data set's broken files
# What turns an image or makes it transparent, among what Pillow tells of a file.
_TURNS = {"exif", "xmp", "XML:com.adobe.xmp", "Raw profile type exif", "transparency"}


class Picture(Protocol):
    """An image file elsewhere than in a folder; its text is what sentences call it."""

    def content(self) -> bytes:
        """Its bytes, at most so many as are read of any image.

        Raises:
            DataError: They cannot be read.
        """


def decode_image(
    file: Path | Picture, image_size: int, resize: int | None = None
) -> NDArray[np.uint8]:
    """(3, image_size, image_size) RGB pixels of one file; see :func:`read_picture`.

    Raises:
        DataError: The file is damaged, no image, or too large; the sentence names it.
    """
    source = file if isinstance(file, Path) else file.content()
    picture = read_picture(source, f"The image {str(file)!r}", (image_size, image_size), resize)
    return np.ascontiguousarray(np.asarray(picture).transpose(2, 0, 1))


def room_for(n: int, image_size: int) -> NDArray[np.uint8]:
    """(N, 3, image_size, image_size) pixels to be filled; memory is taken as they are.

    Raises:
        DataError: More than ``MAX_BYTES``.
    """
    size = n * 3 * image_size**2
    if size > MAX_BYTES:
        raise DataError(
            f"{n} images of {image_size}×{image_size} pixels take {size / 2**30:.0f} GiB "
            f"of memory, and {MAX_BYTES // 2**30} GiB are allowed: choose a smaller image_size."
        )
    return np.empty((n, 3, image_size, image_size), dtype=np.uint8)


def fitted_pixels(image: NDArray[np.uint8], cut: Cut) -> NDArray[np.uint8]:
    """(3, side, side) RGB of an image's own pixels (H, W) or (H, W, C): as if they stood in a PNG
    file."""
    image_size = cut.side
    if (
        cut.resize is None
        and image.shape[:2] == (image_size, image_size)
        and (image.ndim == 2 or image.shape[2] == 3)
    ):
        rgb = np.broadcast_to(image[..., None], (*image.shape, 3)) if image.ndim == 2 else image
    else:
        squeezed = image[..., 0] if image.shape[2:] == (1,) else image
        picture = Image.fromarray(np.ascontiguousarray(squeezed))
        rgb = np.asarray(_fitted(picture, (image_size, image_size), cut.resize))
    return rgb.transpose(2, 0, 1)


def filled(
    images: Iterable[NDArray[np.uint8]], n: int, cut: Cut, progress: Callable[[float], None]
) -> NDArray[np.uint8]:
    """(N, 3, side, side) pixels of images that come one by one, each with its own
    pixels; see :func:`fitted_pixels`."""
    room = room_for(n, cut.side)
    for i, image in enumerate(images):
        room[i] = fitted_pixels(image, cut)
        if i % 256 == 0:
            progress(i / n)
    progress(1.0)
    return room


def decode_images(
    files: Sequence[Path | Picture], cut: Cut, progress: Callable[[float], None]
) -> NDArray[np.uint8]:
    """(N, 3, side, side) pixels; ``progress`` gets the share done, in [0, 1]."""
    images = room_for(len(files), cut.side)
    failed: dict[Path | Picture, DataError] = {}
    for i, file in enumerate(files):
        try:
            images[i] = decode_image(file, cut.side, cut.resize)
        except DataError as error:
            failed[file] = error
        if i % 256 == 0:
            progress(i / len(files))
    if failed:
        raise _all_of(failed, len(files))
    progress(1.0)
    return images


def _all_of(failed: Mapping[Path | Picture, DataError], n: int) -> DataError:
    """One sentence for all files that cannot be read, so that nobody mends them one by one."""
    first, *others = failed.values()
    if not others:
        return first
    named = [repr(str(file)) for file in [*failed][:NAMED]]
    more = f" and {len(failed) - NAMED} more" if len(failed) > NAMED else ""
    return DataError(
        f"{len(failed)} of {n} images cannot be read: {', '.join(named)}{more}; replace or remove "
        f"them. Of the first: {first}"
    )


def read_picture(
    source: Path | bytes, name: str, size: tuple[int, int], resize: int | None = None
) -> Image.Image:
    """An image file as RGB of (width, height) ``size``.

    Turned upright (EXIF); laid on white where it is transparent; 16-bit grey is scaled to 8 bits;
    the largest centred rectangle of that shape is scaled. Of an animation the first frame.

    Args:
        source: A path, or the file's bytes.
        name: What sentences call it.
        resize: The shorter side's pixels before the centre is cut out; None scales the largest
            centred rectangle.

    Raises:
        DataError: No such file, not an image, cut short, or too large.
    """
    content = _content(source, name)
    kinds = listed(IMAGE_FORMATS)
    try:
        with warnings.catch_warnings():
            # Pillow warns of a decompression bomb above its own limit; ours is lower.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            # Its decoder of WebP takes memory for the whole picture when it opens one.
            _check_size(_webp_size(content), MAX_PIXELS, name)
            with Image.open(io.BytesIO(content), formats=IMAGE_FORMATS) as image:
                shrinks = image.format in ("JPEG", "MPO") and not _in_scans(content, name)
                _check_size(image.size, MAX_JPEG_PIXELS if shrinks else MAX_PIXELS, name)
                _check_size(_tile_size(image), MAX_PIXELS, name)
                least = max(*size, resize or 0)
                image.draft("RGB", (2 * least, 2 * least))  # JPEG: decoded at a coarser scale
                _check_size(image.size, MAX_PIXELS, name)
                return _fitted(image, size, resize, name)
    except DataError:
        raise
    except Image.DecompressionBombError:
        raise DataError(_too_large(name, "far too many pixels", MAX_PIXELS)) from None
    except UnidentifiedImageError:
        raise DataError(
            f"{name} is not an image that can be read: only {kinds} files are."
        ) from None
    # Decoders of damaged files raise OSError, SyntaxError, ValueError, struct.error, zlib.error…
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        raise DataError(
            f"{name} cannot be decoded: it is damaged or cut short ({reason}); replace it with an "
            "intact one."
        ) from None


def _content(source: Path | bytes, name: str) -> bytes:
    if isinstance(source, bytes):
        content = source
    else:
        try:
            if not stat.S_ISREG(source.stat().st_mode):  # a device or pipe may never end
                raise DataError(f"{name} is no file; choose a {listed(IMAGE_FORMATS, 'or')} file.")
            with source.open("rb") as file:
                content = file.read(MAX_FILE_BYTES + 1)
        except OSError as error:
            raise DataError(f"{name} cannot be read: {error.strerror or error}.") from None
        except ValueError:  # a path with a zero byte inside
            raise DataError("The path of the image has a zero byte inside; check it.") from None
    if len(content) > MAX_FILE_BYTES:
        raise DataError(
            f"{name} is larger than {MAX_FILE_BYTES >> 20} MB; save it smaller and try again."
        )
    if not content:
        raise DataError(f"{name} is empty; choose a {listed(IMAGE_FORMATS, 'or')} file.")
    return content


def _webp_size(content: bytes) -> tuple[int, int]:
    """(width, height) that a WebP file claims; (0, 0) of every other."""
    kind = content[12:16] if content[:4] == b"RIFF" and content[8:12] == b"WEBP" else b""
    if kind == b"VP8X":
        width, height = (int.from_bytes(content[at : at + 3], "little") + 1 for at in (24, 27))
        return width, height
    if kind == b"VP8L":
        bits = int.from_bytes(content[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 ":
        width, height = (int.from_bytes(content[at : at + 2], "little") for at in (26, 28))
        return width & 0x3FFF, height & 0x3FFF
    return 0, 0


def _in_scans(content: bytes, name: str) -> bool:
    """Whether a JPEG comes in several scans (progressive): its decoder then holds all of it.

    Raises:
        DataError: In more scans than any that is meant to be looked at.
    """
    progressive, components, at = False, 0, 2
    while True:  # from marker to marker, until the first scan
        at = content.find(b"\xff", at)
        while content[at : at + 1] == b"\xff":
            at += 1
        if at < 1 or at + 10 > len(content):
            break
        kind = content[at]
        if kind in (0x00, 0x01, *range(0xD0, 0xD9)):  # of no length
            continue
        if 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC):
            progressive, components = kind in (0xC2, 0xC6, 0xCA, 0xCE), content[at + 8]
        elif kind == 0xDA and not progressive and content[at + 3] == components:
            return False
        elif kind == 0xDA:
            break
        at += 1 + int.from_bytes(content[at + 1 : at + 3])
    scans = content.count(b"\xff\xda")
    if scans > MAX_SCANS:
        raise DataError(
            f"{name} comes in {scans:,} scans, more than the {MAX_SCANS} that are read; save it "
            "again and try once more."
        )
    return True


def _tile_size(image: Image.Image) -> tuple[int, int]:
    """(width, height) of a TIFF's tiles, each of which is decoded whole; (0, 0) of every other."""
    tags = getattr(image, "tag_v2", {}) if image.format == "TIFF" else {}
    return int(tags.get(322, 0)), int(tags.get(323, 0))


def _check_size(size: tuple[int, int], most: int, name: str) -> None:
    if size[0] * size[1] > most:
        raise DataError(_too_large(name, f"{size[0]} × {size[1]} pixels", most))


def _too_large(name: str, size: str, most: int) -> str:
    return (
        f"{name} has {size}, more than the {most // 10**6} million that are read; save it smaller "
        "and try again."
    )


def _fitted(
    image: Image.Image, size: tuple[int, int], resize: int | None = None, name: str = "An image"
) -> Image.Image:
    if resize is None and image.size == size and image.mode == "RGB" and image.format != "TIFF":
        image.load()
        if not image.info.keys() & _TURNS:  # as most of a data set's small images
            return image.copy()
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):  # 16-bit grey
        grey = np.asarray(image) >> 8
        image = Image.fromarray(grey.clip(0, 255).astype(np.uint8))
    if "A" in image.getbands() or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, image)
    image = image.convert("RGB")
    if resize is not None:
        return _centre(image, size, resize, name)
    return ImageOps.fit(image, size, Image.Resampling.BILINEAR)


def _centre(image: Image.Image, size: tuple[int, int], resize: int, name: str) -> Image.Image:
    """As torchvision's Resize and CenterCrop do it, to the pixel."""
    shorter, longer = min(image.size), max(image.size)
    if longer > shorter * MAX_PIXELS / resize**2:
        raise DataError(
            f"{name} has {image.width}×{image.height} pixels, too long and narrow to be made "
            f"{resize} on its shorter side: cut it first."
        )
    long_side = int(resize * longer / shorter)
    wide = image.width > image.height
    image = image.resize(
        (long_side, resize) if wide else (resize, long_side), Image.Resampling.BILINEAR
    )
    left, top = (round((n - wanted) / 2) for n, wanted in zip(image.size, size, strict=True))
    return image.crop((left, top, left + size[0], top + size[1]))
