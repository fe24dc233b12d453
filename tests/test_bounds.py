"""Files say how large they are before they show it: what is not borne out is refused unread."""

from __future__ import annotations

import io
import itertools
import pickle
import resource
import struct
import time
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch
from fuzzing import mutated_bytes
from PIL import Image
from safetensors.torch import save, save_file
from torch import nn

from explorer.data.catalog import list_folder
from explorer.data.images import decode_image
from explorer.errors import DataError, WeightsError
from explorer.measuring.image import read_image
from explorer.nets import create_net, load_weights
from explorer.nets.adapters import load_external
from explorer.nets.adapters.load import read_state_dict
from explorer.nets.weight_files import LARGEST_HEADER, stored_tensors
from explorer.nets.weights import fitted_to, net_with_weights
from explorer.structure.names import spec_of
from explorer.writing.formats import IMAGE_FORMATS

MEGABYTE = 1 << 20
TORCHVISION = "torchvision_resnet18"


@contextmanager
def within(megabytes: float, seconds: float) -> Iterator[None]:
    """No more memory than so much is taken, at the highest, and no more of this thread's time."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.thread_time()
    yield
    taken = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert taken < megabytes, f"{taken:.0f} MB"
    assert time.thread_time() - began < seconds


def refused(file: Path, said: str) -> None:
    with within(megabytes=100, seconds=5), pytest.raises(WeightsError, match=said):
        load_external(TORCHVISION, weights=file, input_shape=(3, 32, 32))


@pytest.fixture(scope="module", autouse=True)
def _warm() -> None:
    """What torchvision's import takes is no file's fault."""
    from torchvision import models

    models.resnet18(num_classes=2)


def resnet_state(classes: int = 3) -> dict[str, torch.Tensor]:
    from torchvision import models

    return dict(models.resnet18(num_classes=classes).state_dict())


# ------------------------------------------------------------------------------- what is read


def several() -> dict[str, torch.Tensor]:
    base = torch.arange(24, dtype=torch.float32).reshape(4, 6)
    return {
        "whole": base,
        "view": base[1:3, ::2],
        "turned": base.t(),
        "number": torch.tensor(3),
        "none": torch.zeros(0, 4),
        "half": torch.randn(3, 2).half(),
        "brain": torch.randn(5).bfloat16(),
        "double": torch.randn(2, 2, dtype=torch.float64),
        "bytes": torch.arange(5, dtype=torch.uint8),
        "truth": torch.tensor([True, False]),
    }


@pytest.mark.parametrize(("zipped", "protocol"), [(True, 2), (True, 4), (False, 2)])
def test_tensors_are_those_that_torch_reads(tmp_path: Path, zipped: bool, protocol: int) -> None:
    state = several()
    file = tmp_path / "several.pt"
    torch.save(
        {"epoch": 3, "state_dict": OrderedDict(state), "size": state["whole"].shape, "best": 0.5},
        file,
        _use_new_zipfile_serialization=zipped,
        pickle_protocol=protocol,
    )
    read = read_state_dict(file)
    assert list(read) == list(state)
    for name, value in state.items():
        assert read[name].dtype == value.dtype
        assert torch.equal(read[name], value), name


def test_a_whole_checkpoint_is_read_for_its_weights(tmp_path: Path) -> None:
    net = nn.Linear(3, 2)
    optimiser = torch.optim.Adam(net.parameters())
    net(torch.ones(1, 3)).sum().backward()
    optimiser.step()
    saved = {"model": dict(net.named_parameters()), "optimizer": optimiser.state_dict()}
    torch.save(saved, tmp_path / "all.pth")
    assert torch.equal(read_state_dict(tmp_path / "all.pth")["weight"], net.weight)


# ---------------------------------------------------------------------------- what is claimed


def test_a_million_classes_over_one_value_take_no_memory(tmp_path: Path) -> None:
    vast = torch.zeros(1).expand(1_000_000, 512)
    state = {**resnet_state(), "fc.weight": vast, "fc.bias": torch.zeros(1).expand(1_000_000)}
    torch.save(state, tmp_path / "vast.pt")
    refused(tmp_path / "vast.pt", "claims more than it holds .a tensor of 1000000×512 over 1 val")
    torch.save(state, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    refused(tmp_path / "old.pt", "claims more than it holds")


def test_a_million_classes_of_no_width_take_no_memory(tmp_path: Path) -> None:
    state = {**resnet_state(), "fc.weight": torch.zeros(1_000_000, 0), "fc.bias": torch.zeros(0)}
    save_file(state, tmp_path / "vast.safetensors")
    refused(tmp_path / "vast.safetensors", r"fc.weight has the shape \(1000000, 0\)")
    torch.save(state, tmp_path / "vast.pt")
    refused(tmp_path / "vast.pt", r"fc.weight has the shape \(1000000, 0\)")


def test_a_header_of_a_million_tensors_is_refused_by_every_reader(tmp_path: Path) -> None:
    """1.5 million of them, of no bytes, took minutes to list: each look-up takes longer."""
    nothing = '{"dtype":"F32","shape":[0],"data_offsets":[0,0]}'
    header = "{" + ",".join(f'"{i}":{nothing}' for i in range(60_000)) + "}"
    assert len(header) > LARGEST_HEADER
    file = tmp_path / "many.safetensors"
    file.write_bytes(struct.pack("<Q", len(header)) + header.encode())
    said = r"many.safetensors has [\d,]+ bytes of names and shapes, more than the 2,097,152 that"
    spec = spec_of("plain_8;width=2")
    with pytest.raises(WeightsError, match=said):
        stored_tensors(file)
    with pytest.raises(WeightsError, match=said):
        net_with_weights(spec, file)
    with pytest.raises(WeightsError, match=said):
        load_weights(create_net(spec), file)
    assert fitted_to(spec, file) == spec


def test_a_compressed_archive_is_refused(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(10_000_000)}, tmp_path / "stored.pt")
    with (
        zipfile.ZipFile(tmp_path / "stored.pt") as stored,
        zipfile.ZipFile(tmp_path / "small.pt", "w", zipfile.ZIP_DEFLATED) as small,
    ):
        for name in stored.namelist():
            small.writestr(name, stored.read(name))
    assert (tmp_path / "small.pt").stat().st_size < MEGABYTE
    refused(tmp_path / "small.pt", "is a compressed archive")


def archive(path: Path, head: bytes, **storages: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("a/data.pkl", head)
        made.writestr("a/byteorder", "little")
        for key, content in storages.items():
            made.writestr(f"a/data/{key}", content)
    return path


def claimed(numel: int, size: tuple[int, ...], stride: tuple[int, ...], offset: int = 0) -> bytes:
    """A pickle of one tensor of floats that says what it is told to say."""

    class Storage:
        pass

    class Pickler(pickle._Pickler):
        def persistent_id(self, value: Any) -> Any:
            if isinstance(value, Storage):
                return ("storage", torch.FloatStorage, "x", "cpu", numel)
            return None

        def reducer_override(self, value: Any) -> Any:
            return NotImplemented

    class Tensor:
        def __reduce__(self) -> Any:
            build: Callable[..., Any] = torch._utils._rebuild_tensor_v2
            return build, (Storage(), offset, size, stride, False, OrderedDict())

    out = io.BytesIO()
    Pickler(out, 2).dump({"w": Tensor()})
    return out.getvalue()


@pytest.mark.parametrize(
    ("numel", "size", "stride", "offset"),
    [
        (4, (2, 2), (2, 1), 1),  # past the end
        (4, (2, 2), (3, 1), 0),
        (4, (5,), (1,), 0),
        (4, (10**12,), (0,), 0),
        (10**12, (10**12,), (1,), 0),  # a storage that is not there
        (4, (2, 2), (1,), 0),
        (4, (-1,), (1,), 0),
        (4, (2, 2), (-1, 1), 3),
        (4, (1,) * 100, (1,) * 100, 0),
    ],
)
def test_a_tensor_lies_within_its_storage(
    tmp_path: Path, numel: int, size: tuple[int, ...], stride: tuple[int, ...], offset: int
) -> None:
    file = archive(tmp_path / "net.pt", claimed(numel, size, stride, offset), x=bytes(16))
    with within(megabytes=30, seconds=2), pytest.raises(WeightsError):
        read_state_dict(file)


def test_the_tensor_that_is_there_is_read(tmp_path: Path) -> None:
    content = struct.pack("<4f", 1, 2, 3, 4)
    file = archive(tmp_path / "net.pt", claimed(4, (2, 2), (2, 1)), x=content)
    assert read_state_dict(file)["w"].tolist() == [[1, 2], [3, 4]]


def short(n: int) -> bytes:
    return b"J" + struct.pack("<i", n)


def colliding() -> bytes:
    """Tuples of numbers that have the same hash, as keys: a dictionary takes the square of them."""
    prime = 2**61 - 1
    numbers = [0, prime, -prime, 2 * prime, -2 * prime, 3 * prime, -3 * prime]
    head = b"".join(
        b"\x8a\x08" + n.to_bytes(8, "little", signed=True) + b"q" + bytes([i]) + b"0"
        for i, n in enumerate(numbers)
    )
    keys = (b"(" + bytes(x for i in places for x in (104, i)) + b"tN" for places in SIXES)
    return b"\x80\x02" + head + b"}(" + b"".join(keys) + b"u."


SIXES = list(itertools.islice(itertools.product(range(7), repeat=6), 60_000))
# A text or a list of half a megabyte, and a thousand times what copies it.
TEXT = b"X" + struct.pack("<I", 500_000) + b"a" * 500_000
PAIRS = b"](" + b"".join(short(i) + b"K\x01\x86" for i in range(50_000)) + b"e"


def copies(what: bytes, function: bytes) -> bytes:
    head = b"\x80\x02" + what + b"q\x010c" + function + b"q\x020]"
    return head + b"h\x02h\x01\x85Ra" * 1000 + b"."


@pytest.mark.parametrize(
    "head",
    [
        b"\x80\x02}(" + b")" + b"\x85" * 300_000 + b"Nu.",  # its hash would crash Python
        b"\x80\x02})" + b"\x85" * 300_000 + b"Ns.",
        colliding(),
        copies(TEXT, b"torch\nSize\n"),
        copies(PAIRS, b"collections\nOrderedDict\n"),
        b"\x80\x02]r\xff\xff\xff\xff.",  # an index of the memo that would take 64 GB
        b"\x80\x05\x96\xff\xff\xff\xff\x00\x00\x00\x00.",  # a bytearray of 4 GB
        b"\x80\x02cbuiltins\nbytearray\nJ\xff\xff\xff\x7f\x85R.",
        b"\x80\x02cbuiltins\nexec\nX\x05\x00\x00\x00raise\x85R.",
        b"\x80\x02ccollections\nOrderedDict\n}X\x01\x00\x00\x00aK\x01sb.",
        b"\x80\x02" + b"(" * 1000 + b".",
        b"\x80\x02" + b"]" * (LARGEST_HEADER + 1) + b".",
    ],
    ids=[
        "deep",
        "deep one",
        "colliding",
        "copies of a text",
        "copies of a list",
        "memo",
        "bytearray",
        "call",
        "exec",
        "attribute",
        "marks",
        "long",
    ],
)
def test_a_pickle_takes_what_its_bytes_take(tmp_path: Path, head: bytes) -> None:
    file = archive(tmp_path / "net.pt", head)
    with within(megabytes=60, seconds=5), pytest.raises(WeightsError):
        stored_tensors(file)


def test_a_storage_of_the_old_format_that_is_not_there_takes_no_memory(tmp_path: Path) -> None:
    file = tmp_path / "old.pt"
    torch.save({"w": torch.zeros(4)}, file, _use_new_zipfile_serialization=False)
    content = file.read_bytes()
    vast = struct.pack("<q", 10**11)
    file.write_bytes(content.replace(struct.pack("<q", 4), vast))
    with within(megabytes=30, seconds=2), pytest.raises(WeightsError, match="claims more"):
        read_state_dict(file)


def test_an_archive_of_countless_files_takes_no_memory(tmp_path: Path) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        for i in range(60_000):
            made.writestr(f"a/data/{i}" + "x" * 40, b"")
    (tmp_path / "many.pt").write_bytes(out.getvalue())
    with within(megabytes=30, seconds=2), pytest.raises(WeightsError, match="of headers"):
        stored_tensors(tmp_path / "many.pt")


# ----------------------------------------------------------------------------------- mutated


def weights_files() -> dict[str, bytes]:
    state = {"conv.weight": torch.randn(4, 3, 3, 3), "n": torch.tensor(2)}
    found = {"net.safetensors": save(state)}
    for name, zipped in (("net.pt", True), ("old.pth", False)):
        out = io.BytesIO()
        torch.save(state, out, _use_new_zipfile_serialization=zipped)
        found[name] = out.getvalue()
    return found


@pytest.mark.parametrize(
    "n", [100, pytest.param(4000, marks=(pytest.mark.fuzz, pytest.mark.timeout(1800)))]
)
def test_mutated_weights_are_read_or_refused(tmp_path: Path, n: int) -> None:
    random = Random(7)
    with within(megabytes=150, seconds=n * 0.1):
        for name, content in weights_files().items():
            for _ in range(n):
                file = tmp_path / name
                file.write_bytes(mutated_bytes(content, random))
                with suppress(WeightsError):
                    read_state_dict(file)


# -------------------------------------------------------------------------------------- images


def encoded(image: Image.Image, form: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def both_doors(content: bytes, tmp_path: Path) -> list[str]:
    """What is said at the door of a data set and at that of a person's own image."""
    file = tmp_path / "x.png"
    file.write_bytes(content)
    said = []
    for read in (lambda: decode_image(file, 8), lambda: read_image(content, (3, 8, 8))):
        with within(megabytes=200, seconds=3), pytest.raises(DataError) as caught:
            read()
        said.append(str(caught.value))
        assert said[-1].endswith(".")
        assert "\n" not in said[-1]
    return said


@pytest.mark.parametrize("form", ["EPS", "ICO", "PPM", "PDF", "TGA", "PCX", "SGI"])
def test_other_formats_are_not_opened_whatever_they_are_called(form: str, tmp_path: Path) -> None:
    content = encoded(Image.new("RGB", (32, 32)), form)
    for said in both_doors(content, tmp_path):
        assert "only PNG, JPEG, WEBP, BMP, GIF and TIFF files are" in said


@pytest.mark.parametrize("form", IMAGE_FORMATS)
def test_every_format_is_read_at_both_doors(form: str, tmp_path: Path) -> None:
    red = Image.new("RGB", (40, 40), (255, 0, 0))
    content = encoded(red, form, **({"lossless": True} if form == "WEBP" else {}))
    file = tmp_path / "a.png"  # by content, not by name
    file.write_bytes(content)
    for pixels in (decode_image(file, 8), read_image(content, (3, 8, 8)).numpy()):
        assert pixels[:, 4, 4].tolist() == pytest.approx([255, 0, 0], abs=2)


@pytest.mark.parametrize("form", ["PNG", "WEBP", "BMP", "GIF", "TIFF"])
def test_sixteen_million_pixels_are_read_and_more_are_refused(form: str, tmp_path: Path) -> None:
    options: dict[str, Any] = {"lossless": True, "method": 0} if form == "WEBP" else {}
    options |= {"compression": "tiff_deflate"} if form == "TIFF" else {}
    side = 4100
    content = encoded(Image.new("P", (side, side)), form, **options)
    for said in both_doors(content, tmp_path):
        assert f"has {side} × {side} pixels, more than the 16 million that are read" in said
    if form == "WEBP":  # it takes long to write
        return
    fits = encoded(Image.new("L", (3900, 4000), 9), form, **options)
    with within(megabytes=450, seconds=10):
        assert read_image(fits, (1, 8, 8)).float().mean() == pytest.approx(9, abs=1)


def test_a_photograph_of_48_million_pixels_is_shrunk_while_it_is_decoded(tmp_path: Path) -> None:
    photo = Image.new("RGB", (8000, 6000), (200, 30, 40))
    content = encoded(photo, "JPEG", quality=80)
    del photo
    file = tmp_path / "photo.jpg"
    file.write_bytes(content)
    with within(megabytes=40, seconds=5):
        assert decode_image(file, 32)[:, 16, 16].tolist() == pytest.approx([200, 30, 40], abs=3)
    for said in both_doors(encoded(Image.new("L", (8100, 8000)), "JPEG"), tmp_path):
        assert "more than the 64 million" in said


def progressive(width: int, height: int, scans: int) -> bytes:
    """A JPEG of one grey, in so many scans of 60 bytes, each of which goes over every block."""

    def segment(marker: int, body: bytes) -> bytes:
        return bytes([255, marker]) + struct.pack(">H", len(body) + 2) + body

    blocks = -(-width // 8) * -(-height // 8)
    nothing = b"\x7f\xff\x00" * (-(-blocks // 16_384))  # for 16,384 blocks, and a little more
    first = segment(0xDA, b"\1\1\0\0\0\0") + bytes(blocks // 8 + 1)
    return b"".join(
        (
            b"\xff\xd8",
            segment(0xDB, b"\0" + b"\1" * 64),
            segment(0xC2, struct.pack(">BHHB", 8, height, width, 1) + b"\1\x11\0"),
            segment(0xC4, b"\0\1" + bytes(15) + b"\0"),
            segment(0xC4, b"\x10\1" + bytes(15) + b"\xe0"),
            first,
            (segment(0xDA, b"\1\1\0\1\x3f\0") + nothing) * scans,
            b"\xff\xd9",
        )
    )


def test_a_jpeg_in_scans_is_not_larger_than_others_and_has_few(tmp_path: Path) -> None:
    """Its decoder holds all of it, however small it is to be, and goes over it again and again."""
    with within(megabytes=80, seconds=5):
        assert read_image(progressive(3900, 4000, 5), (1, 8, 8)).float().std() == 0
    for said in both_doors(progressive(8000, 8000, 1), tmp_path):
        assert "has 8000 × 8000 pixels, more than the 16 million that are read" in said
    for said in both_doors(progressive(100, 100, 30_000), tmp_path):
        assert "comes in 30,001 scans, more than the 100 that are read" in said
    noise = Image.effect_noise((300, 200), 60).convert("RGB")
    for options in ({"progressive": True}, {"restart_marker_rows": 1}, {"subsampling": 0}):
        file = tmp_path / "photo.jpg"
        file.write_bytes(encoded(noise, "JPEG", quality=95, **options))
        assert decode_image(file, 8).std() > 0


def test_a_tile_that_is_larger_than_its_image_is_refused(tmp_path: Path) -> None:
    """TIFF: 16×16 pixels in a tile of 400 million, which would be decoded whole."""

    def entry(tag: int, kind: int, value: int) -> bytes:
        return struct.pack("<HHII", tag, kind, 1, value)

    body = zlib.compress(bytes(20_000 * 20_000 // 8))
    tags = [(256, 16), (257, 16), (258, 8), (259, 8), (262, 1), (277, 1), (322, 20_000)]
    tags += [(323, 20_000), (324, 8), (325, len(body))]
    head = b"".join(entry(tag, 4, value) for tag, value in tags)
    content = b"II*\0" + struct.pack("<I", 8 + len(body)) + body
    content += struct.pack("<H", len(tags)) + head + bytes(4)
    for said in both_doors(content, tmp_path):
        assert "has 20000 × 20000 pixels" in said


@pytest.mark.parametrize("chunk", [b"VP8X", b"VP8L", b"VP8 "])
def test_a_webp_of_vast_claims_is_refused_before_its_decoder_is_called(
    chunk: bytes, tmp_path: Path
) -> None:
    side = 16_383
    body = {
        b"VP8X": b"\0\0\0\0" + (side - 1).to_bytes(3, "little") * 2,
        b"VP8L": b"\x2f" + ((side - 1) | (side - 1) << 14).to_bytes(4, "little"),
        b"VP8 ": b"\x10\0\0\x9d\x01\x2a" + side.to_bytes(2, "little") * 2,
    }[chunk]
    inside = b"WEBP" + chunk + struct.pack("<I", len(body)) + body + bytes(40)
    content = b"RIFF" + struct.pack("<I", len(inside)) + inside
    for said in both_doors(content, tmp_path):
        assert "has 16383 × 16383 pixels" in said


@pytest.mark.parametrize(
    "n", [40, pytest.param(1000, marks=(pytest.mark.fuzz, pytest.mark.timeout(1800)))]
)
def test_mutated_images_are_read_or_refused(tmp_path: Path, n: int) -> None:
    random = Random(8)
    noise = Image.effect_noise((40, 30), 60)
    file = tmp_path / "x.png"
    with within(megabytes=300, seconds=n * 0.6):
        for form in IMAGE_FORMATS:
            forms = (
                [encoded(noise, form), encoded(noise.convert("P"), form)]
                if form != "JPEG"
                else [encoded(noise, form)]
            )
            if form == "TIFF":
                forms += [encoded(noise, form, compression=c) for c in ("tiff_lzw", "jpeg")]
            for content in forms:
                for _ in range(n):
                    broken = mutated_bytes(content, random)
                    file.write_bytes(broken)
                    with suppress(DataError):
                        decode_image(file, 8)
                    with suppress(DataError):
                        read_image(broken, (1, 8, 8))


# ------------------------------------------------------------------------------------- folders


def paint(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8)).save(file)


def test_links_that_lead_out_of_a_folder_are_not_followed(tmp_path: Path) -> None:
    root, elsewhere = tmp_path / "set", tmp_path / "elsewhere"
    for split in ("train", "test"):
        for name in ("cat", "dog"):
            paint(root / split / name / "1.png")
    paint(elsewhere / "fox" / "secret.png")
    before = list_folder(root)
    (root / "train" / "cat" / "2.png").symlink_to(elsewhere / "fox" / "secret.png")
    (root / "train" / "fox").symlink_to(elsewhere / "fox")
    (root / "train" / "cat" / "up.png").symlink_to("../../../elsewhere/fox/secret.png")
    assert list_folder(root).key == before.key
    (root / "train" / "cat" / "3.png").symlink_to(root / "train" / "dog" / "1.png")  # stays inside
    assert len(list_folder(root).train_labels) == 3
    linked = tmp_path / "linked"  # the folder itself may be named by a link
    linked.symlink_to(root)
    assert len(list_folder(linked).train_labels) == 3
    other = tmp_path / "other"
    other.mkdir()
    for split in ("train", "test"):
        (other / split).symlink_to(root / split)
    with pytest.raises(DataError, match="a link that leads out of the folder is not followed"):
        list_folder(other)
