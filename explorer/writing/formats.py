"""What kinds of files are read, at every door: images by their content, weights by their name."""

from __future__ import annotations

from collections.abc import Sequence

# Pillow's names of the decoders that may open a file, and the usual endings of its name. Pillow
# knows some forty formats; one of them starts another program (Ghostscript, for EPS).
IMAGES: dict[str, tuple[str, ...]] = {
    "PNG": (".png",),
    "JPEG": (".jpg", ".jpeg", ".jfif"),
    "WEBP": (".webp",),
    "BMP": (".bmp",),
    "GIF": (".gif",),
    "TIFF": (".tif", ".tiff"),
}
IMAGE_FORMATS = tuple(IMAGES)
# What may lie at a path of a person's own images.
OWN_IMAGES = (
    "a folder or .zip with train/CLASS/*.png and test/CLASS/*.png, CIFAR's python batches, or a "
    ".npz, .npy or .csv file"
)
IMAGE_SUFFIXES = tuple(suffix for suffixes in IMAGES.values() for suffix in suffixes)
# As weights are kept here; a file that somebody brings may have any name, its content decides.
WEIGHTS_SUFFIXES = (".safetensors", ".pt", ".pth")
WEIGHTS_KINDS = ".safetensors files and what torch.save writes (.pt, .pth, .th, .ckpt, .bin, …)"
# How torch's archives begin (a zip file), and the format of torch 1.5 and before: a magic number,
# pickled.
_ARCHIVE, OLD_TORCH = b"PK\x03\x04", b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
WEIGHTS_HEAD = 16  # bytes that tell the kind


def weights_suffix(head: bytes) -> str | None:
    """``.safetensors`` or ``.pt`` by a file's first bytes; None of every other kind."""
    if head.startswith((_ARCHIVE, OLD_TORCH)):
        return ".pt"
    return ".safetensors" if head[8:9] == b"{" else None


def listed(words: Sequence[str], joint: str = "and") -> str:
    """``PNG, JPEG and TIFF``."""
    *others, last = words
    return f"{', '.join(others)} {joint} {last}" if others else last


def endings(suffixes: Sequence[str]) -> list[str]:
    """As a file picker has them: without the point."""
    return [suffix.removeprefix(".") for suffix in suffixes]
