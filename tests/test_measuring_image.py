"""A person's own image: every kind of file becomes pixels, or one sentence."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from explorer.data.load import load_data
from explorer.errors import DataError
from explorer.measuring.image import read_image
from explorer.measuring.picture import picture
from explorer.structure.specs import DataSpec

RED = (200, 30, 10)


def encoded(image: Image.Image, form: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def colour(content: bytes, channels: int = 3) -> list[int]:
    """The one colour of an image of 6×6."""
    pixels = read_image(content, (channels, 6, 6))
    assert pixels.dtype == torch.uint8
    assert pixels.shape == (channels, 6, 6)
    return [int(v) for v in pixels.float().mean((1, 2)).round()]


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "BMP", "GIF"])
def test_every_format(form: str) -> None:
    content = encoded(Image.new("RGB", (20, 12), RED), form)
    assert colour(content) == pytest.approx(RED, abs=6)
    assert colour(content, 1)[0] == pytest.approx(0.299 * 200 + 0.587 * 30 + 0.114 * 10, abs=4)


def test_modes_that_are_not_rgb() -> None:
    assert colour(encoded(Image.new("CMYK", (9, 9), (0, 255, 255, 0)), "JPEG")) == pytest.approx(
        (255, 0, 0), abs=6
    )
    assert colour(encoded(Image.new("1", (9, 9), 1), "PNG")) == [255, 255, 255]
    grey = Image.fromarray(np.full((9, 9), 40_000, np.uint16))
    assert colour(encoded(grey, "PNG")) == [156, 156, 156]  # 40,000 / 256
    assert colour(encoded(Image.new("P", (9, 9), 0), "PNG")) == [0, 0, 0]
    half = Image.new("RGBA", (9, 9), (*RED, 128))  # on white
    assert colour(encoded(half, "PNG")) == pytest.approx([227, 142, 132], abs=1)
    assert colour(encoded(Image.new("LA", (9, 9), (0, 0)), "PNG")) == [255, 255, 255]
    painted = Image.new("RGB", (9, 9), RED).quantize(4)
    assert colour(encoded(painted, "PNG")) == list(RED)
    assert colour(encoded(painted, "PNG", transparency=0)) == [255, 255, 255]


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG"])
def test_an_animation_is_its_first_frame(form: str) -> None:
    frames = [Image.new("RGB", (16, 16), c) for c in (RED, (0, 0, 255), (0, 255, 0))]
    options = {"lossless": True} if form == "WEBP" else {}
    content = encoded(frames[0], form, save_all=True, append_images=frames[1:], **options)
    with Image.open(io.BytesIO(content)) as image:
        assert image.n_frames == 3  # type: ignore[attr-defined]
    assert colour(content) == pytest.approx(RED, abs=6)


def test_one_pixel_and_a_thin_line() -> None:
    assert colour(encoded(Image.new("RGB", (1, 1), RED), "PNG")) == list(RED)
    assert colour(encoded(Image.new("RGB", (3000, 1), RED), "PNG")) == list(RED)


@pytest.mark.parametrize("turn", range(1, 9))
def test_a_photograph_is_turned_upright(turn: int) -> None:
    """Each of EXIF's eight ways to store an image whose upper left quarter is white."""
    upright = Image.new("L", (16, 16), 0)
    upright.paste(255, (0, 0, 8, 8))
    back = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = upright.transpose(back[turn]) if turn in back else upright
    exif = Image.Exif()
    exif[0x0112] = turn
    pixels = read_image(encoded(stored, "JPEG", exif=exif, quality=95), (1, 4, 4))[0]
    white = torch.zeros(4, 4, dtype=torch.bool)
    white[:2, :2] = True
    assert torch.equal(pixels > 127, white)


@pytest.mark.parametrize("form", ["PNG", "GIF", "BMP"])
def test_an_image_of_400_million_pixels_is_refused_before_it_is_decoded(form: str) -> None:
    small = encoded(Image.new("L", (2, 2)), form)
    size = (20_000).to_bytes(4, "big" if form == "PNG" else "little")
    if form == "PNG":
        import zlib

        header = b"IHDR" + size + size + small[24:29]
        huge = small[:12] + header + zlib.crc32(header).to_bytes(4, "big") + small[33:]
    elif form == "GIF":
        huge = small[:6] + size[:2] + size[:2] + small[10:]
    else:
        huge = small[:18] + size + size + small[26:]
    with pytest.raises(DataError, match="16 million") as caught:
        read_image(huge, (1, 8, 8))
    assert str(caught.value).endswith("save it smaller and try again.")


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "GIF", "BMP"])
def test_a_file_cut_short_is_refused(form: str) -> None:
    noise = Image.effect_noise((64, 64), 60)
    content = encoded(noise, form)
    for kept in (0.02, 0.5, 0.9):
        with pytest.raises(DataError, match=r"cut short|not an image") as caught:
            read_image(content[: int(kept * len(content))], (1, 8, 8))
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("form", ["ICO", "PPM", "PDF", "EPS"])
def test_formats_with_a_history_of_surprises_are_not_read(form: str) -> None:
    with pytest.raises(DataError, match="not an image that can be read: only PNG, JPEG"):
        read_image(encoded(Image.new("RGB", (32, 32)), form), (3, 8, 8))


@pytest.mark.skipif(os.name != "posix", reason="devices and pipes have paths on POSIX alone")
def test_devices_and_pipes_are_no_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    for path in (Path("/dev/zero"), tmp_path / "pipe.png", tmp_path):
        with pytest.raises(DataError, match="is no file; choose a PNG, JPEG"):
            read_image(path, (3, 8, 8))
    with pytest.raises(DataError, match="null byte"):
        read_image("a\0b.png", (3, 8, 8))
    with pytest.raises(DataError, match="File name too long"):
        read_image("a" * 5000, (3, 8, 8))


def test_the_picture_of_a_data_set(tmp_path: Path) -> None:
    digits = load_data(DataSpec(name="digits", test_limit=3))
    seen = picture(digits, 2)
    assert (seen.name, seen.true_class) == ("test image 2", int(digits.test_labels[2]))
    assert torch.equal(seen.pixels, digits.test_images[2])
    file = tmp_path / "my cat.png"
    Image.new("RGB", (30, 20), (255, 255, 255)).save(file)
    own = picture(digits, file)
    assert (own.name, own.true_class, own.pixels.shape) == ("my cat.png", None, (1, 8, 8))
    assert picture(digits, file.read_bytes()).name == "your image"
    for index in (3, -1):
        with pytest.raises(DataError, match=f"no test image {index}: .* has 3, 0 to 2"):
            picture(digits, index)
