"""What kinds of files are read, at every door: images by their content, weights by their name."""

from __future__ import annotations

from collections.abc import Sequence

# Pillow's names of the decoders that may open a file, and the usual endings of its name. Pillow
# knows some forty formats; one of them starts another program (Ghostscript, for EPS).
IMAGES: dict[str, tuple[str, ...]] = {
    "PNG": (".png",),
    "JPEG": (".jpg", ".jpeg"),
    "WEBP": (".webp",),
    "BMP": (".bmp",),
    "GIF": (".gif",),
    "TIFF": (".tif", ".tiff"),
}
IMAGE_FORMATS = tuple(IMAGES)
IMAGE_SUFFIXES = tuple(suffix for suffixes in IMAGES.values() for suffix in suffixes)
WEIGHTS_SUFFIXES = (".safetensors", ".pt", ".pth")


def listed(words: Sequence[str], joint: str = "and") -> str:
    """``PNG, JPEG and TIFF``."""
    *others, last = words
    return f"{', '.join(others)} {joint} {last}" if others else last


def endings(suffixes: Sequence[str]) -> list[str]:
    """As a file picker has them: without the point."""
    return [suffix.removeprefix(".") for suffix in suffixes]
