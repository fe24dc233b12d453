"""The same images from every kind of place: folders, CIFAR's batches, arrays, tables, archives."""

from __future__ import annotations

import io
import os
import pickle
import stat
import struct
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from explorer.data.catalog import list_folder, scan_folder
from explorer.data.dataset import Dataset
from explorer.data.load import load_data
from explorer.data.stored import drawn_test
from explorer.data.uploaded import keep_zip
from explorer.errors import DataError, SpecError
from explorer.structure.library_nets import SIDE, TORCHVISION, images_for, short_side
from explorer.structure.specs import DataSpec, parse

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SKIPSCOPE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def opened(path: Path, side: int = 8) -> Dataset:
    data = load_data(DataSpec(name="folder", path=str(path), image_size=side))
    assert data.info == scan_folder(path, side)  # the server, which reads no pixels, says the same
    return data


def refused(path: Path, *parts: str) -> None:
    with pytest.raises(DataError) as error:
        load_data(DataSpec(name="folder", path=str(path), image_size=8))
    text = str(error.value)
    for part in parts:
        assert part in text
    assert text.endswith(".")
    assert "\n" not in text
    assert len(text) < 700


def same(one: Dataset, other: Dataset) -> None:
    assert one.info.classes == other.info.classes
    for name in ("train_images", "train_labels", "test_images", "test_labels", "mean", "std"):
        assert torch.equal(getattr(one, name), getattr(other, name)), name


class Pictures:
    """Images of two classes for training and testing, and a folder of PNG files with them."""

    def __init__(self, folder: Path, side: int, channels: int) -> None:
        shape = (side, side, channels)[: 2 if channels == 1 else 3]
        self.folder = folder
        self.images = {
            split: RNG.integers(0, 256, (n, *shape), dtype=np.uint8)
            for split, n in (("train", 12), ("test", 6))
        }
        # Sorted by class, as a folder's are.
        self.labels = {
            split: np.repeat([0, 1], len(images) // 2) for split, images in self.images.items()
        }
        for split, images in self.images.items():
            for i, (image, label) in enumerate(zip(images, self.labels[split], strict=True)):
                file = folder / split / "01"[label] / f"{i:03}.png"
                file.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(image).save(file)

    def keras(self) -> dict[str, np.ndarray]:
        return {
            f"{kind}_{split}": getattr(self, name)[split]
            for kind, name in (("x", "images"), ("y", "labels"))
            for split in ("train", "test")
        }


@pytest.fixture(params=[(8, 1), (8, 3), (11, 1), (11, 3), (11, 4)], ids=str)
def pictures(tmp_path: Path, request: pytest.FixtureRequest) -> Pictures:
    return Pictures(tmp_path / "png", *request.param)


@pytest.fixture
def grey(tmp_path: Path) -> Pictures:
    return Pictures(tmp_path / "png", 11, 1)


# ----------------------------------------------------------------------------------- folders


def paint(file: Path, red: int = 0) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), (red, 0, 0)).save(file)


def test_deep_folders_are_torchvisions(tmp_path: Path) -> None:
    """The same classes, files, labels and order."""
    from torchvision.datasets import ImageFolder

    root = tmp_path / "deep"
    names = ["b/a/1.png", "b/a-b/1.png", "b/0.png", "b/a/x/y/10.png", "b/a/x/y/9.png", "b/Z.JPG"]
    names += ["a/n01/2.png", "a/n01/10.png", "a/N02/1.png", "c d/é/1.png", "c d/1.bmp"]
    for i, name in enumerate(names):
        paint(root / "train" / name, 20 * i)
    for name in ("a/deep/er/1.png", "b/1.png", "c d/x/1.png"):
        paint(root / "test" / name)
    (root / "train" / "b" / "notes.txt").write_text("no image")
    theirs = ImageFolder(str(root / "train"))
    data = opened(root)
    assert list(data.info.classes) == theirs.classes
    assert data.train_labels.tolist() == theirs.targets
    # JPEG changes a colour by a little; the steps are of 20.
    reds = [round(int(image[0, 0, 0]) / 20) for image in data.train_images]
    by_name = {str(root / "train" / name): i for i, name in enumerate(names)}
    assert reds == [by_name[file] for file, _ in theirs.samples]
    assert reds != sorted(reds)


def test_deep_folders_of_hidden_names_and_links_are_left_out(tmp_path: Path) -> None:
    root = tmp_path / "set"
    for split in ("train", "test"):
        for name in ("cat", "dog"):
            paint(root / split / name / "deep" / "1.png")
    before = list_folder(root).key
    paint(tmp_path / "elsewhere" / "secret.png")
    paint(root / "train" / "cat" / ".ipynb_checkpoints" / "1.png")
    paint(root / "train" / "cat" / "deep" / "._1.png")
    (root / "train" / "cat" / "out").symlink_to(tmp_path / "elsewhere")
    (root / "train" / "cat" / "round").symlink_to(root / "train" / "cat")
    assert list_folder(root).key == before
    (root / "train" / "cat" / "inside").symlink_to(root / "train" / "dog")  # as ImageFolder does
    assert list_folder(root).train_labels.tolist() == [0, 0, 1]


def test_a_deeper_image_that_changes_is_decoded_again(tmp_path: Path) -> None:
    for split in ("train", "test"):
        for name in ("cat", "dog"):
            paint(tmp_path / "set" / split / name / "deep" / "1.png", 10)
    assert opened(tmp_path / "set").train_images[0, 0, 0, 0] == 10
    file = tmp_path / "set" / "train" / "cat" / "deep" / "1.png"
    paint(file, 11)
    os.utime(file, ns=(1, 1))
    assert opened(tmp_path / "set").train_images[0, 0, 0, 0] == 11


# ------------------------------------------------------------------------------------- CIFAR


def batches(folder: Path, dump: Callable[[Any], bytes] = pickle.dumps) -> None:
    """Sixty images in the files of CIFAR-10."""
    folder.mkdir(parents=True)
    pixels = RNG.integers(0, 256, (60, 3072), dtype=np.uint8)
    labels = [i * 7 % 10 for i in range(60)]
    for i, name in enumerate([*(f"data_batch_{n}" for n in range(1, 6)), "test_batch"]):
        some = slice(10 * i, 10 * i + 10)
        content = {"batch_label": f"batch {i}", "data": pixels[some], "labels": labels[some]}
        (folder / name).write_bytes(dump({**content, "filenames": [f"{n}.png" for n in range(10)]}))
    names = ["airplane", *(f"thing {i}" for i in range(1, 10))]
    meta = {"num_cases_per_batch": 10, "label_names": names, "num_vis": 3072}
    (folder / "batches.meta").write_bytes(dump(meta))


def python_2(value: Any) -> bytes:
    """As Python 2 pickled CIFAR's own files: byte strings, and an array with its bytes as one."""

    def put(value: Any) -> bytes:
        match value:
            case dict():
                items = b"".join(put(key) + put(one) for key, one in value.items())
                return b"}(" + items + b"u"
            case list():
                return b"](" + b"".join(map(put, value)) + b"e"
            case str() | bytes():
                raw = value.encode("latin1") if isinstance(value, str) else value
                short = b"U" + bytes([len(raw)]) if len(raw) < 256 else None
                return (short or b"T" + struct.pack("<i", len(raw))) + raw
            case int():
                return b"K" + bytes([value]) if value < 256 else b"M" + struct.pack("<H", value)
            case np.ndarray():
                shape = b"".join(b"M" + struct.pack("<H", n) for n in value.shape) + b"\x86"
                made = (
                    b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
                )
                kind = b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xff"
                kind += b"J\xff\xff\xff\xffK\x00tb"
                return made + b"(K\x01" + shape + kind + b"\x89" + put(value.tobytes()) + b"tb"
        raise TypeError(value)

    return b"\x80\x02" + put(value) + b"."


DUMPS = {
    "python 2": python_2,
    **{f"protocol {n}": lambda value, n=n: pickle.dumps(value, protocol=n) for n in (2, 3, 4, 5)},
}


@pytest.mark.parametrize("how", DUMPS)
def test_cifars_batches_are_torchvisions(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torchvision.datasets import CIFAR10

    monkeypatch.setattr(CIFAR10, "_check_integrity", lambda self: True)
    monkeypatch.setattr("torchvision.datasets.cifar.check_integrity", lambda *_: True)
    folder = tmp_path / "cifar-10-batches-py"
    batches(folder, DUMPS[how])
    data = opened(folder, 32)
    for split, train in (("train", True), ("test", False)):
        theirs = CIFAR10(tmp_path, train=train)
        images, labels = getattr(data, f"{split}_images"), getattr(data, f"{split}_labels")
        assert (images.permute(0, 2, 3, 1).numpy() == theirs.data).all()
        assert labels.tolist() == theirs.targets
        assert list(data.info.classes) == theirs.classes
    same(opened(tmp_path, 32), data)  # the folder that holds it
    assert opened(folder, 16).train_images.shape == (50, 3, 16, 16)


def test_cifar_100_has_its_fine_classes(tmp_path: Path) -> None:
    folder = tmp_path / "cifar-100-python"
    folder.mkdir()
    pixels = RNG.integers(0, 256, (30, 3072), dtype=np.uint8)
    for name, some in (("train", slice(20)), ("test", slice(20, 30))):
        labels = {"fine_labels": [*range(30)][some], "coarse_labels": [0] * 30}
        (folder / name).write_bytes(pickle.dumps({"data": pixels[some], **labels}))
    fine = [f"fine {i}" for i in range(100)]
    meta = {"fine_label_names": fine, "coarse_label_names": ["things"] * 20}
    (folder / "meta").write_bytes(pickle.dumps(meta))
    data = opened(folder, 32)
    assert data.info.classes == tuple(fine)
    assert data.test_labels.tolist() == [*range(20, 30)]
    assert (data.train_images.numpy().reshape(20, -1) == pixels[:20]).all()
    batches(tmp_path / "cifar-10-batches-py")
    refused(tmp_path, "several sets", "cifar-10-batches-py", "cifar-100-python")


class Runs:
    def __init__(self, call: Callable[..., object], *arguments: object) -> None:
        self.what = call, arguments

    def __reduce__(self) -> Any:
        return self.what


def hostile(marker: Path) -> dict[str, bytes]:
    """Files that run code, or take far more memory than they are long."""
    ours = pickle.dumps({"label_names": ["a", "b"]})
    sizes = struct.pack("<Q", 1 << 40)
    array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
    return {
        "system": pickle.dumps({"label_names": Runs(os.system, f"touch {marker}")}),
        "eval": pickle.dumps({"label_names": Runs(eval, f"open({str(marker)!r}, 'w')")}),
        "open": pickle.dumps(Runs(open, str(marker), "w")),
        "protocol 0": pickle.dumps(Runs(os.system, f"touch {marker}"), protocol=0),
        "attributes": b"\x80\x02cnumpy\nndarray\n}U\x01aK\x01sb.",
        "text of a tebibyte": b"\x80\x04\x8d" + sizes + b"x.",
        "bytes of a tebibyte": b"\x80\x05\x96" + sizes + b"x.",
        "frame of a tebibyte": b"\x80\x04\x95" + sizes + b"}.",
        "memo far out": b"\x80\x02}r\xff\xff\xff\xff",
        "a million dictionaries": b"\x80\x02](" + b"}" * (1 << 19) + b"e.",
        "deep": b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b".",
        "a long number": b"\x80\x02\x8b" + struct.pack("<i", 1 << 30) + b"x.",
        "shape of a tebibyte": b"\x80\x02}U\x0blabel_names" + array + b"(K\x01M\xff\xff\x85N\x89"
        b"U\x01xtbs.",
        "cut short": ours[:-10],
        "empty": b"",
        "another thing": b"[1, 2]",
        "a list": pickle.dumps([1, 2]),
    }


@pytest.mark.parametrize("what", hostile(Path("x")))
@pytest.mark.parametrize("name", ["batches.meta", "data_batch_2"])
def test_of_cifars_pickles_nothing_is_executed(
    what: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("explorer.data.cifar.LARGEST_WORDS", 1 << 19)
    folder, marker = tmp_path / "cifar-10-batches-py", tmp_path / "ran"
    batches(folder)
    (folder / name).write_bytes(hostile(marker)[what])
    refused(folder, name)
    assert not marker.exists()


@pytest.mark.parametrize(
    "content",
    [
        {"data": np.zeros((10, 3072), np.uint8), "labels": [0] * 9},
        {"data": np.zeros((10, 1024), np.uint8), "labels": [0] * 10},
        {"data": np.zeros((10, 3072), np.int16), "labels": [0] * 10},
        {"data": [1, 2], "labels": [0] * 2},
        {"data": np.zeros((2, 3072), np.uint8), "labels": ["a", "b"]},
        {"data": np.zeros((2, 3072), np.uint8)},
        {"data": np.zeros((10, 3072), np.float32), "labels": [0] * 10},
    ],
)
def test_batches_that_are_none_of_cifars(content: Mapping[str, Any], tmp_path: Path) -> None:
    batches(tmp_path / "c")
    (tmp_path / "c" / "data_batch_3").write_bytes(pickle.dumps(content))
    refused(tmp_path / "c", "data_batch_3")


def test_a_label_without_a_name_and_a_batch_that_is_missing(tmp_path: Path) -> None:
    batches(tmp_path / "c")
    content = {"data": np.zeros((2, 3072), np.uint8), "labels": np.array([0, 10])}
    (tmp_path / "c" / "data_batch_3").write_bytes(pickle.dumps(content))
    refused(tmp_path / "c", "labels from 0 to 10", "between 0 and 9")
    (tmp_path / "c" / "data_batch_3").unlink()
    refused(tmp_path / "c", "data_batch_3", "cannot be read")


# ------------------------------------------------------------------------------------ arrays


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_an_npz_is_the_folder_of_its_images(
    pictures: Pictures, tmp_path: Path, save: Callable[..., None]
) -> None:
    save(tmp_path / "set.npz", **pictures.keras())
    data = opened(tmp_path / "set.npz")
    same(data, opened(pictures.folder))
    assert data.info.title == "set.npz"


def test_npy_files_beside_each_other(grey: Pictures, tmp_path: Path) -> None:
    (tmp_path / "npy").mkdir()
    for name, array in grey.keras().items():
        np.save(tmp_path / "npy" / f"{name}.npy", array)
    folder = opened(grey.folder)
    same(opened(tmp_path / "npy"), folder)
    same(opened(tmp_path / "npy" / "x_train.npy"), folder)


def test_an_npz_a_split(grey: Pictures, tmp_path: Path) -> None:
    (tmp_path / "npz").mkdir()
    for split, name in (("train", "train"), ("test", "Valid")):
        arrays = {"images": grey.images[split][..., None], "labels": grey.labels[split][:, None]}
        np.savez(tmp_path / "npz" / f"{name}.npz", **arrays)
    data = opened(tmp_path / "npz")
    same(data, opened(grey.folder))
    assert data.info.title == "npz (tested on 'valid')"


def test_names_of_other_collections(grey: Pictures, tmp_path: Path) -> None:
    """As medical collections name them, with three splits; the classes by name."""
    arrays = {
        f"{split}_{kind}": getattr(grey, kind)[split]
        for split in ("train", "test")
        for kind in ("images", "labels")
    }
    arrays |= {"val_images": grey.images["test"][:1], "val_labels": np.array([0])}
    np.savez(tmp_path / "set.npz", class_names=np.array(["cat", "dog", "owl"]), **arrays)
    data = opened(tmp_path / "set.npz")
    assert data.info.classes == ("cat", "dog", "owl")
    assert torch.equal(data.test_images, opened(grey.folder).test_images)


def test_labels_may_be_words(grey: Pictures, tmp_path: Path) -> None:
    words = {
        name: np.array(["dog", "cat"])[array] if name.startswith("y") else array
        for name, array in grey.keras().items()
    }
    np.savez(tmp_path / "set.npz", **words)
    data = opened(tmp_path / "set.npz")
    assert data.info.classes == ("cat", "dog")
    assert data.train_labels.tolist() == [1] * 6 + [0] * 6


def test_a_fifth_is_drawn_where_nothing_says_what_tests(tmp_path: Path) -> None:
    labels = np.repeat([0, 1, 2], (50, 30, 20))
    images = np.broadcast_to(np.arange(100, dtype=np.uint8)[:, None, None], (100, 8, 8))
    np.savez(tmp_path / "set.npz", images=images, y=labels)
    data = opened(tmp_path / "set.npz")
    assert data.info.title == "set.npz (tested on a fifth of its images, drawn)"
    assert data.test_labels.bincount().tolist() == [10, 6, 4]
    shown = data.test_images[:, 0, 0, 0], data.train_images[:, 0, 0, 0]
    assert sorted(torch.cat(shown).tolist()) == [*range(100)]  # none is in both
    assert (torch.from_numpy(labels)[shown[0].long()] == data.test_labels).all()
    assert (torch.from_numpy(labels)[shown[1].long()] == data.train_labels).all()
    assert np.array_equal(drawn_test(labels), drawn_test(labels))
    np.savez(tmp_path / "few.npz", images=images[:4], y=labels[:4])
    refused(tmp_path / "few.npz", "4 images are too few")


PIXELS, LABELS = np.zeros((10, 8, 8), np.uint8), np.arange(10) % 2


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"x": PIXELS}, "no labels"),
        ({"y": LABELS}, "no images"),
        ({"things": PIXELS, "y": LABELS}, "no images among its arrays ('y'"),
        ({"x_train": PIXELS, "y_train": LABELS}, "no images of test"),
        ({"x": PIXELS / 255, "y": LABELS}, "float64, and uint8"),
        ({"x": PIXELS[0], "y": LABELS}, "8×8, and N×H×W"),
        ({"x": np.zeros((10, 3, 8, 8), np.uint8), "y": LABELS}, "put the channels last"),
        ({"x": PIXELS, "y": LABELS[:9]}, "9 of type int64, and 10 whole numbers"),
        ({"x": PIXELS, "y": np.eye(10)}, "10×10 of type float64"),
        ({"x": PIXELS, "y": np.zeros(10, int)}, "one class, '0'"),
        ({"x": PIXELS[:0], "y": LABELS[:0]}, "there must be some"),
        ({"x": PIXELS, "y": LABELS.astype(object)}, "can run any code"),
        ({"x": np.asfortranarray(PIXELS), "y": LABELS}, "columns first"),
        ({"x": PIXELS, "y": LABELS, "classes": np.array(["a", "a"])}, "of which 1 differ"),
        ({"x": PIXELS, "y": LABELS + 1, "classes": np.array(["a", "b"])}, "from 1 to 2"),
        (
            {"x_train": PIXELS, "y_train": LABELS, "x_test": PIXELS, "y_test": LABELS + 1},
            "The class '2'",
        ),
    ],
)
def test_arrays_that_are_no_data(arrays: dict[str, Any], said: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "set.npz", **arrays)
    refused(tmp_path / "set.npz", said)


def test_an_array_of_objects_is_never_unpickled(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    labels = np.array([Runs(os.system, f"touch {marker}")] * 10, dtype=object)
    np.savez(tmp_path / "set.npz", x=PIXELS, y=labels)
    refused(tmp_path / "set.npz", "can run any code")
    assert not marker.exists()


def npy(shape: tuple[int, ...], content: bytes, kind: str = "|u1") -> bytes:
    head = f"{{'descr': {kind!r}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    head = head.ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head + content


@pytest.mark.parametrize(
    "content",
    [
        npy((1 << 40, 8, 8), b"x" * 640),
        npy((10, 8, 8), b"x" * 100),
        npy((10, 8, 8), b"x" * 641),
        npy((-1, 8, 8), b"x" * 640),
        npy((1 << 62, 1 << 62, 8), b""),
        npy((10, 8, 8), b"x" * 640)[:40],
        b"\x93NUMPY\x02\x00" + b"\xff" * 40,
        b"\x93NUMPY",
        b"",
    ],
)
@pytest.mark.parametrize("kind", ["npz", "npy"])
def test_an_array_that_claims_more_than_it_holds(content: bytes, kind: str, tmp_path: Path) -> None:
    labels = io.BytesIO()
    np.save(labels, LABELS)
    if kind == "npz":
        place = tmp_path / "set.npz"
        with zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("x.npy", content)
            archive.writestr("y.npy", labels.getvalue())
    else:
        place = tmp_path / "npy"
        place.mkdir()
        (place / "x.npy").write_bytes(content)
        (place / "y.npy").write_bytes(labels.getvalue())
    refused(place, "The array")


def test_labels_of_more_memory_than_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("explorer.data.arrays.LARGEST_LABELS", 20)
    np.savez(tmp_path / "set.npz", x=PIXELS, y=LABELS)
    refused(tmp_path / "set.npz", "of labels or names")
    monkeypatch.undo()
    monkeypatch.setattr("explorer.data.images.MAX_BYTES", 1000)
    refused(tmp_path / "set.npz", "choose a smaller image_size")


def test_an_npz_that_changes_is_read_again(tmp_path: Path) -> None:
    np.savez(tmp_path / "set.npz", x=PIXELS, y=LABELS)
    opened(tmp_path / "set.npz")
    np.savez(tmp_path / "set.npz", x=PIXELS + 9, y=np.arange(10) % 2 * 3)
    data = opened(tmp_path / "set.npz")
    assert data.info.classes == ("0", "3")
    assert data.train_images.unique().tolist() == [9]


# ------------------------------------------------------------------------------------ tables


def rows(pictures: Pictures, split: str, *, last: bool = False) -> list[str]:
    lines = []
    for image, label in zip(pictures.images[split], pictures.labels[split], strict=True):
        pixels = ",".join(map(str, image.ravel()))
        lines.append(f"{pixels},{label}" if last else f"{label},{pixels}")
    return lines


def test_a_csv_of_pixels_is_the_folder_of_its_images(grey: Pictures, tmp_path: Path) -> None:
    folder = tmp_path / "csv"
    folder.mkdir()
    head = ",".join(["label", *(f"pixel{i}" for i in range(121))])
    (folder / "train.csv").write_text("\n".join([head, *rows(grey, "train")]))
    (folder / "test.csv").write_bytes("\r\n".join([*rows(grey, "test"), ""]).encode())  # no head
    same(opened(folder), opened(grey.folder))


def test_a_csv_with_a_column_of_splits(grey: Pictures, tmp_path: Path) -> None:
    lines = [";".join([*(f"p{i}" for i in range(121)), "Label", "Split"])]
    for split, name in (("test", "val"), ("train", "Train")):
        lines += [f"{row};{name}".replace(",", ";") for row in rows(grey, split, last=True)]
    (tmp_path / "set.csv").write_text("\ufeff" + "\n".join(lines), encoding="utf-8")
    data = opened(tmp_path / "set.csv")
    same(data, opened(grey.folder))
    assert data.info.title == "set.csv (tested on 'val')"


def test_a_csv_of_paths_is_the_folder_of_its_images(pictures: Pictures, tmp_path: Path) -> None:
    files = sorted(pictures.folder.rglob("*.png"))
    lines = ["id,path,label,split"]
    for i, file in enumerate(files):
        split, label, _ = file.relative_to(pictures.folder).parts
        lines.append(f'{i},"{file.relative_to(pictures.folder)}",class {label},{split}')
    (pictures.folder / "all.csv").write_text("\n".join(lines))
    data = opened(pictures.folder / "all.csv")
    folder = opened(pictures.folder)
    assert data.info.classes == ("class 0", "class 1")
    assert torch.equal(data.train_images, folder.train_images)
    assert torch.equal(data.test_labels, folder.test_labels)
    Image.new("RGB", (8, 8), (7, 7, 7)).save(files[-1])  # a picture that changes is read again
    assert (opened(pictures.folder / "all.csv").train_images[-1] == 7).all()


def test_numbers_are_in_their_order_and_a_fifth_is_drawn(tmp_path: Path) -> None:
    lines = [f"{label},{label},0,0,{label}" for label in (0, 10, 9) * 10]
    (tmp_path / "set.csv").write_text("\n".join(lines))
    data = opened(tmp_path / "set.csv", 8)
    assert data.info.classes == ("0", "9", "10")
    assert data.test_labels.bincount().tolist() == [2, 2, 2]
    corner = data.test_images[:, 0, 0, 0].tolist()
    assert [(0, 9, 10)[label] for label in data.test_labels] == corner


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "columns"),
        ("label,a,b,c,d\n", "no line of an image"),
        ("a,b,c\n1,2,3\n", "it needs a column 'label'"),
        ("label,a,b,c\n1,2,3,4\n", "4 columns"),
        ("label,a,b,c,d\n1,2,3,4\n", "Line 2"),
        ("label,a,b,c,d\n" + "1,2,3,4,5\n0,2,3,4,x\n" * 9, "no numbers"),
        (
            "label,a,b,c,d\n" + "1,2,3,4,5\n0,2,3,4,0.5\n" * 9,
            "Line 3",
        ),
        ("label,a,b,c,d\n" + "1,2,3,4,5\n0,2,3,4,256\n" * 9, "a pixel of 256"),
        ("label,a,b,c,d\n" + "1,2,3,4,nan\n0,2,3,4,5\n" * 9, "a pixel of nan"),
        ("label,a,b,c,d\n" + "1,2,3,4,5\n,2,3,4,5\n", "Line 3"),
        ("label,a,b,c,d\n" + "1,2,3,4,5\n" * 9, "one class, '1'"),
        ("path,label\n/etc/passwd.png,1\n", "lies beside"),
        ("path,label\n../../x.png,1\n", "lies beside"),
        ("path,label\nnotes.txt,1\n", "lies beside"),
        ("path,label\nx\0.png,1\n", "lies beside"),
        ("path,label,split\n" + "x.png,1,train\nx.png,0,other\n", "must say 'train' or 'test'"),
        ("path,label,split\n" + "x.png,1,train\nx.png,0,train\n", "must say 'train' or 'test'"),
        ("path,label\n" + "gone.png,1\ngone.png,0\n" * 9, "gone.png"),
    ],
)
def test_tables_that_are_no_data(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "set.csv").write_text(text)
    (tmp_path / "notes.txt").write_text("")
    (tmp_path / "x.png").write_bytes(b"")
    refused(tmp_path / "set.csv", said)


def test_a_table_of_bytes_and_of_endless_lines(tmp_path: Path) -> None:
    (tmp_path / "set.csv").write_bytes(b"label,a\n\xff\xfe,1\n")
    refused(tmp_path / "set.csv", "UTF-8")
    (tmp_path / "set.csv").write_bytes(b"label,a\n1," + b"1" * (3 << 20))
    refused(tmp_path / "set.csv", "a line of more than 2 MB")


# ---------------------------------------------------------------------------------- archives


def pack(folder: Path, place: Path, before: str = "", method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(place, "w", method) as archive:
        for file in sorted(folder.rglob("*"), reverse=True):  # in no order of ours
            archive.write(file, f"{before}{file.relative_to(folder)}")
    return place


@pytest.mark.parametrize("before", ["", "pets/", "home/anna/pets/"])
def test_a_zip_is_the_folder_in_it(pictures: Pictures, tmp_path: Path, before: str) -> None:
    data = opened(pack(pictures.folder, tmp_path / "set.zip", before))
    same(data, opened(pictures.folder))
    assert data.info.title == ("pets" if before else "set.zip")


def test_a_zip_of_deep_folders_is_torchvisions_too(tmp_path: Path) -> None:
    root = tmp_path / "deep"
    names = ["b/a/1.png", "b/a-b/1.png", "b/0.png", "a/n01/2.png", "a/n01/10.png", "a/N02/1.png"]
    for i, name in enumerate(names):
        paint(root / "train" / name, 20 * i)
        paint(root / "Val" / name, 20 * i)
    paint(root / "train" / ".git" / "1.png")
    paint(root / "__MACOSX" / "train" / "a" / "1.png")
    data = opened(pack(root, tmp_path / "set.zip"))
    (root / "__MACOSX" / "train" / "a" / "1.png").unlink()
    same(data, opened(root))
    assert data.info.title == "set.zip (tested on 'Val')"


def entry(name: str, *, link: bool = False) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = ((stat.S_IFLNK if link else stat.S_IFREG) | 0o644) << 16
    return info


@pytest.mark.parametrize(
    "name",
    ["../train/cat/1.png", "/etc/x.png", "train/../../x.png", "C:/x.png", "train\\cat\\1.png"],
)
def test_names_that_lead_out_of_an_archive(grey: Pictures, tmp_path: Path, name: str) -> None:
    place = pack(grey.folder, tmp_path / "set.zip")
    with zipfile.ZipFile(place, "a") as archive:
        archive.writestr(entry(name), b"x")
    refused(place, "leads out of it")
    assert not [*tmp_path.parent.rglob("etc")]


def test_a_link_in_an_archive_is_nothing(grey: Pictures, tmp_path: Path) -> None:
    place = pack(grey.folder, tmp_path / "set.zip")
    before = opened(place)
    with zipfile.ZipFile(place, "a") as archive:
        archive.writestr(entry("train/0/link.png", link=True), b"/etc/passwd")
    same(opened(place), before)


def test_archives_of_too_much(
    grey: Pictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from explorer.system import archives

    place = pack(grey.folder, tmp_path / "set.zip")
    monkeypatch.setattr(archives, "MOST_FILES", 5)
    refused(place, "more than the 5")
    monkeypatch.undo()
    monkeypatch.setattr(archives, "MOST_BYTES", 100)
    refused(place, "unpacked")
    monkeypatch.undo()
    monkeypatch.setattr(archives, "LARGEST_DIRECTORY", 100)
    refused(place, "lists its files")
    monkeypatch.undo()
    bomb = tmp_path / "bomb.zip"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("train/cat/1.png", "train/dog/1.png", "test/cat/1.png"):
            archive.writestr(name, bytes(30 << 20))
    refused(bomb, "times its size")


def test_an_image_in_an_archive_that_unpacks_to_too_much(
    grey: Pictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("explorer.data.images.MAX_FILE_BYTES", 40_000)
    place = pack(grey.folder, tmp_path / "set.zip")
    with zipfile.ZipFile(place, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("train/0/large.png", bytes(100_000))
    refused(place, "train/0/large.png", "is larger than")


@pytest.mark.parametrize("cut", [4, 100, 1000])
def test_a_damaged_archive(grey: Pictures, tmp_path: Path, cut: int) -> None:
    place = pack(grey.folder, tmp_path / "set.zip")
    place.write_bytes(place.read_bytes()[:cut])
    refused(place, "set.zip is damaged or no zip archive")


def test_broken_files_in_an_archive_are_named_at_once(grey: Pictures, tmp_path: Path) -> None:
    place = pack(grey.folder, tmp_path / "set.zip")
    with zipfile.ZipFile(place, "a") as archive:
        for name in ("train/0/x.png", "test/1/y.png"):
            archive.writestr(name, b"no image")
    refused(place, "2 of 20 images", "train/0/x.png", "test/1/y.png")
    content = bytearray(pack(grey.folder, place, method=zipfile.ZIP_STORED).read_bytes())
    content[content.index(b"IDAT") + 20] ^= 0xFF  # its checksum is not its content's
    place.write_bytes(content)
    refused(place, "damaged in its archive (Bad CRC-32")


def test_an_archive_of_something_else(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        archive.writestr("notes.txt", "no image")
    refused(tmp_path / "set.zip", "has no 'train' in it", "train/CLASS/*.png")
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        archive.writestr("train/a/1.png", b"x")
        archive.writestr("train/b/1.png", b"x")
    refused(tmp_path / "set.zip", "has no 'test' in it")


def test_a_dropped_archive_is_kept_once_by_its_content(
    grey: Pictures, tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = pack(grey.folder, tmp_path / "set.zip", "pets/").read_bytes()
    kept = keep_zip("set.zip", content)
    assert keep_zip("another name.zip", memoryview(content)) == kept
    data = opened(Path(kept))
    same(data, opened(grey.folder))
    assert data.info.title == "pets"
    zips = home / "data" / "zips"
    assert sorted(file.name for file in zips.iterdir()) == [kept, f"{kept}-8.safetensors"]
    keep_zip("set.zip", content)  # the same images, which need not be decoded again
    assert (zips / f"{kept}-8.safetensors").stat().st_mtime_ns < (zips / kept).stat().st_mtime_ns
    decoded = (zips / f"{kept}-8.safetensors").stat()
    same(opened(Path(kept)), data)
    assert (zips / f"{kept}-8.safetensors").stat().st_ino == decoded.st_ino
    for wrong in (b"no archive", b"", pack(grey.folder / "train", tmp_path / "x.zip").read_bytes()):
        with pytest.raises(DataError, match=r"wrong\.zip"):
            keep_zip("wrong.zip", wrong)
    assert len([*zips.iterdir()]) == 2
    # The longest unused go, and their decoded images with them.
    monkeypatch.setattr("explorer.data.uploaded.BYTES_KEPT", 10)
    os.utime(zips / kept, ns=(1, 1))
    other = keep_zip("other.zip", pack(grey.folder, tmp_path / "set.zip").read_bytes())
    assert [file.name for file in zips.iterdir()] == [other]
    refused(Path(kept), "drop the .zip on the page again")
    monkeypatch.setattr("explorer.data.uploaded.MOST_DECODED", 100)
    refused(Path(other), "allowed of a .zip that was dropped")


def test_what_is_no_data_at_all(tmp_path: Path) -> None:
    (tmp_path / "x.bin").write_bytes(b"anything")
    refused(tmp_path / "x.bin", "no folder and no file of many images", ".npz, .npy or .csv")
    os.mkfifo(tmp_path / "pipe")
    refused(tmp_path / "pipe", "no folder and no file")
    refused(tmp_path / "gone", "no folder or file", ".npz, .npy or .csv")
    refused(Path("0123456789abcdef.images"), "not stored here")


# ---------------------------------------------------------------------------- resize and crop


@pytest.mark.parametrize("size", [(300, 200), (200, 301), (64, 64), (40, 300), (257, 256)])
def test_resize_and_crop_are_torchvisions(size: tuple[int, int], tmp_path: Path) -> None:
    from torchvision.transforms import CenterCrop, Compose, Resize

    image = Image.fromarray(RNG.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))
    for split in ("train", "test"):
        for name in ("cat", "dog"):
            (tmp_path / split / name).mkdir(parents=True)
            image.save(tmp_path / split / name / "1.png")
    theirs = np.asarray(Compose([Resize(73), CenterCrop(64)])(image)).transpose(2, 0, 1)
    spec = DataSpec(name="folder", path=str(tmp_path), image_size=64, resize=73)
    data = load_data(spec)
    assert (data.train_images[0].numpy() == theirs).all()
    assert data.normalisation.startswith("short side 73 pixels, of that the central 64, normalised")
    # What was decoded another way is another file.
    whole = load_data(spec.model_copy(update={"resize": None}))
    assert "short side" not in whole.normalisation
    if size != (64, 64):
        assert not torch.equal(whole.train_images, data.train_images)
    assert torch.equal(load_data(spec).train_images, data.train_images)


def test_an_array_is_cut_as_its_file_would_be(tmp_path: Path) -> None:
    pictures = Pictures(tmp_path / "png", 40, 3)
    np.savez(tmp_path / "set.npz", **pictures.keras())
    one, other = (
        load_data(DataSpec(name="folder", path=str(path), image_size=32, resize=32 + 4))
        for path in (pictures.folder, tmp_path / "set.npz")
    )
    same(one, other)


def test_an_image_too_narrow_for_its_cut_is_named(tmp_path: Path) -> None:
    for split in ("train", "test"):
        for name in ("cat", "dog"):
            paint(tmp_path / split / name / "1.png")
    Image.new("RGB", (9000, 2)).save(tmp_path / "train" / "dog" / "1.png")
    spec = DataSpec(name="folder", path=str(tmp_path), image_size=224, resize=256)
    with pytest.raises(DataError, match=r"dog/1.png' has 9000×2 pixels, too long and narrow"):
        load_data(spec)


def test_a_cut_is_of_folders_and_no_smaller_than_what_is_cut() -> None:
    for wrong in (
        {"name": "digits", "resize": 256},
        {"name": "folder", "path": "x", "image_size": 224, "resize": 200},
    ):
        with pytest.raises(SpecError, match="Resize is the shorter side"):
            parse(DataSpec, wrong)


@pytest.mark.parametrize("name", TORCHVISION)
def test_library_nets_take_images_as_their_library_measures_them(name: str) -> None:
    from torchvision import models

    usual = models.get_model_weights(name).DEFAULT.transforms()
    assert usual.crop_size == [SIDE]
    assert usual.resize_size == [short_side(f"torchvision_{name}", "default")]
    assert short_side(f"torchvision_{name}", "mine.pth") == 256
    data = DataSpec(name="folder", path="x")
    cut = images_for(f"torchvision_{name}", "default", data)
    assert (cut.image_size, cut.resize) == (224, usual.resize_size[0])
    other = images_for(f"torchvision_{name}", "default", data.model_copy(update={"resize": 300}))
    assert (other.image_size, other.resize) == (224, 300)
    small = DataSpec(name="folder", path="x", image_size=64)
    assert images_for(f"torchvision_{name}", "default", small) == small
    assert images_for(f"torchvision_{name}", None, DataSpec(name="cifar10")).resize is None
