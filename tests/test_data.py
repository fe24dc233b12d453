"""Data sets: the fixed split, image folders, downloads, batches and augmentation."""

from __future__ import annotations

import functools
import gzip
import hashlib
import http.server
import io
import os
import pickle
import struct
import subprocess
import sys
import tarfile
import threading
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from explorer.data.catalog import data_home, data_info, scan_folder
from explorer.data.dataset import Batches, Dataset, build, channel_statistics, crop_and_flip
from explorer.data.images import decode_image
from explorer.data.load import load_data
from explorer.data.order import balanced, in_shares, permutation, random_bits
from explorer.errors import DataError, SpecError
from explorer.structure.specs import DataInfo, DataSpec
from explorer.training.evaluation import training_subset


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Downloads and caches of each test in a folder of its own."""
    monkeypatch.setenv("SKIPSCOPE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load_data(DataSpec())


def sha(*tensors: torch.Tensor) -> str:
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()[:16]


# ------------------------------------------------------------------------------------ order


def test_random_bits_are_splitmix64() -> None:
    # The reference program of Steele, Lea & Flood, in Python integers.
    def splitmix(state: int, n: int) -> list[int]:
        mask, out = 2**64 - 1, []
        for _ in range(n):
            state = (state + 0x9E3779B97F4A7C15) & mask
            z = state
            z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
            z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
            out.append(z ^ (z >> 31))
        return out

    assert splitmix(1234567, 1) == [6457827717110365317]  # the published first output
    assert random_bits(5).tolist() == splitmix(splitmix(0, 1)[0], 5)  # the empty key's length 0


def test_keys_give_unrelated_streams() -> None:
    streams = [(), (0,), (1,), (0, 0), (0, 1), (1, 0), (2**31,)]
    firsts = {int(random_bits(1, *key)[0]) for key in streams}
    assert len(firsts) == len(streams)


def test_permutation_is_uniform_enough() -> None:
    places = np.array([permutation(10, 3, epoch) for epoch in range(2000)])
    assert sorted(places[0]) == list(range(10))
    counts = np.array([np.bincount(places[:, place], minlength=10) for place in range(10)])
    assert (np.abs(counts - 200) < 75).all()  # 5.6 standard deviations


def test_subsets_have_the_datas_own_shares() -> None:
    """Of nine common images to one rare one, so are forty of them; and smaller ones are in them."""
    labels = np.repeat([0, 1], (900, 100))
    chosen = in_shares(labels, 40, 1)
    assert np.bincount(labels[chosen]).tolist() == [36, 4]
    assert set(in_shares(labels, 20, 1)) < set(chosen)
    assert len(in_shares(labels, 2000, 1)) == 1000
    # About equally many take turns, as they always did.
    alike = np.repeat(range(10), [142, 147] * 5)
    assert np.array_equal(in_shares(alike, 100, 1), balanced(alike, 100, 1))


def test_skewed_classes_are_said_and_kept() -> None:
    labels = torch.from_numpy(np.repeat([0, 1], (180, 20)))
    images = torch.zeros(200, 3, 8, 8, dtype=torch.uint8)
    info = DataInfo(title="Skewed", input_shape=(3, 8, 8), classes=("common", "rare"))
    spec = DataSpec(name="folder", path="skewed", train_limit=50)
    data = build(spec, info, (images, labels), (images, labels))
    assert data.train_labels.bincount().tolist() == [45, 5]
    assert data.test_labels[data.some_test(40)].bincount().tolist() == [36, 4]
    assert data.train_labels[training_subset(data)].bincount().tolist() == [11, 1]
    assert data.skew == "classes in their own shares, rare 10 % to common 90 %"


def test_equally_many_of_each_class_where_that_is_chosen() -> None:
    labels = torch.from_numpy(np.repeat([0, 1], (180, 20)))
    images = torch.arange(200, dtype=torch.uint8)[:, None, None, None].expand(200, 3, 8, 8)
    info = DataInfo(title="Skewed", input_shape=(3, 8, 8), classes=("common", "rare"))
    spec = DataSpec(name="folder", path="skewed", balanced=True)
    data = build(spec, info, (images, labels), (images, labels))
    assert data.train_labels.bincount().tolist() == [180, 20]  # what is learnt from is all
    assert data.train_labels[data.some_train(30)].bincount().tolist() == [15, 15]
    assert data.train_labels[data.some_train(100)].bincount().tolist() == [20, 20]
    assert data.test_labels.bincount().tolist() == [20, 20]
    assert data.test_labels[data.some_test(10)].bincount().tolist() == [5, 5]
    assert (data.test_labels == labels[data.test_images[:, 0, 0, 0].long()]).all()
    assert data.skew == "equally many images of each class, as chosen"
    limited = spec.model_copy(update={"train_limit": 20, "test_limit": 8})
    few = build(limited, info, (images, labels), (images, labels))
    assert few.train_labels.bincount().tolist() == [10, 10]
    assert few.test_labels.bincount().tolist() == [4, 4]
    wide = spec.model_copy(update={"test_limit": 100})
    most = build(wide, info, (images, labels), (images, labels))
    assert most.test_labels.bincount().tolist() == [20, 20]
    usual = spec.model_copy(update={"balanced": False})
    whole = build(usual, info, (images, labels), (images, labels))
    assert torch.equal(whole.mean, data.mean)


@pytest.mark.parametrize("limit", [1, 3, 7, 20, 29, 30, 99])
def test_balanced_takes_turns(limit: int) -> None:
    labels = np.array([0] * 20 + [1] * 7 + [2] * 3)
    chosen = balanced(labels, limit, 1)
    counts = np.bincount(labels[chosen], minlength=3)
    assert len(chosen) == min(limit, 30) == len(set(chosen.tolist()))
    # No class may have two more than another that still has examples left.
    for c, size in enumerate((20, 7, 3)):
        if counts[c] < size:
            assert counts[c] >= counts.max() - 1
    assert set(balanced(labels, max(limit - 1, 1), 1)) <= set(chosen)


# ----------------------------------------------------------------------------------- digits


def test_digits_split_never_changes(digits: Dataset) -> None:
    assert digits.train_images.shape == (1437, 1, 8, 8)
    assert digits.test_images.shape == (360, 1, 8, 8)
    assert digits.train_images.dtype == torch.uint8
    assert torch.bincount(digits.test_labels).tolist() == [36] * 10
    assert sha(digits.train_images, digits.train_labels) == "67ce2645ff411c2e"
    assert sha(digits.test_images, digits.test_labels) == "be0e9c3a757bc749"


def test_digits_lose_nothing(digits: Dataset) -> None:
    from sklearn.datasets import load_digits

    bunch = load_digits()
    ours = torch.cat([digits.train_images, digits.test_images]).flatten(1)
    back = (ours.double() * 16 / 255).round()
    theirs = torch.from_numpy(bunch.data)
    key = lambda rows: sorted(map(tuple, rows.tolist()))  # noqa: E731
    assert key(back) == key(theirs)
    # No image may be both in train and in test.
    both = set(map(tuple, digits.train_images.flatten(1).tolist())) & set(
        map(tuple, digits.test_images.flatten(1).tolist())
    )
    assert not both


def test_normalised_training_images_have_mean_0_and_deviation_1(digits: Dataset) -> None:
    images = digits.normalise(digits.train_images)
    assert images.dtype == torch.float32
    assert abs(float(images.mean())) < 1e-5
    assert abs(float(images.std(correction=0)) - 1) < 1e-5


def test_statistics_are_those_of_the_pixels() -> None:
    images = torch.randint(0, 256, (5000, 3, 4, 4), dtype=torch.uint8)
    images[:, 2] = 9
    mean, std = channel_statistics(images)
    exact = images.double().div(255).transpose(0, 1).flatten(1)
    torch.testing.assert_close(mean.double(), exact.mean(1), rtol=1e-6, atol=0)
    torch.testing.assert_close(std[:2].double(), exact.std(1, correction=0)[:2], rtol=1e-6, atol=0)
    assert float(std[2]) > 0


def test_limits_are_balanced_and_keep_the_normalisation(digits: Dataset) -> None:
    few = load_data(DataSpec(train_limit=50, test_limit=15))
    assert torch.bincount(few.train_labels).tolist() == [5] * 10
    assert torch.bincount(few.test_labels, minlength=10).max() == 2
    assert len(few.test_labels) == 15
    assert torch.equal(few.mean, digits.mean)
    again = load_data(DataSpec(train_limit=50, test_limit=15))
    assert torch.equal(few.train_images, again.train_images)


def test_catalog_knows_shapes_without_torch() -> None:
    code = (
        "import sys; from explorer.data.catalog import data_info;"
        "from explorer.structure.specs import DataSpec;"
        "print(data_info(DataSpec(name='cifar10')).input_shape, 'torch' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "(3, 32, 32) False"


def test_home_is_settable(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert data_home() == home / "data"
    monkeypatch.delenv("SKIPSCOPE_HOME")
    assert data_home() == Path.home() / ".skipscope" / "data"


# ----------------------------------------------------------------------------------- folder


def paint(file: Path, colour: tuple[int, int, int] = (0, 0, 0), size: int = 12) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (size, size), colour).save(file)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "pets"
    for i in range(4):
        paint(root / "train" / "cat" / f"{i}.png", (10 * i, 0, 0))
        paint(root / "train" / "dog" / f"{i}.PNG", (0, 10 * i, 200))
    paint(root / "test" / "cat" / "a.png", (90, 0, 0))
    paint(root / "test" / "dog" / "b.png", (0, 90, 200))
    (root / "train" / "cat" / "notes.txt").write_text("no image")
    (root / "train" / "cat" / "._0.png").write_text("a file manager's leftover")
    (root / "train" / "empty").mkdir()
    return root


def spec_of(folder: Path, **rest: int) -> DataSpec:
    return DataSpec(name="folder", path=str(folder), image_size=rest.pop("image_size", 8), **rest)


def test_folder_loads(folder: Path) -> None:
    told: list[tuple[str, float]] = []
    data = load_data(spec_of(folder), lambda text, share: told.append((text, share)))
    assert data.info == scan_folder(folder, 8) == data_info(spec_of(folder))
    assert data.info.classes == ("cat", "dog")
    assert data.info.title == "pets"
    assert data.train_images.shape == (8, 3, 8, 8)
    assert data.train_labels.tolist() == [0] * 4 + [1] * 4
    assert data.train_images[1, :, 0, 0].tolist() == [10, 0, 0]
    assert data.test_images[1, :, 4, 4].tolist() == [0, 90, 200]
    assert told[-1] == ("Decoding 10 images of pets (once)", 1.0)


def test_folder_is_decoded_once_until_it_changes(folder: Path, home: Path) -> None:
    first = load_data(spec_of(folder))
    told: list[float] = []
    again = load_data(spec_of(folder), lambda text, share: told.append(share))
    assert not told
    assert torch.equal(first.train_images, again.train_images)
    paint(folder / "train" / "cat" / "9.png", (7, 7, 7))
    changed = load_data(spec_of(folder), lambda text, share: told.append(share))
    assert told
    assert len(changed.train_labels) == 9
    assert len(list((home / "data" / "folders").iterdir())) == 1  # the old state was replaced
    load_data(spec_of(folder, image_size=16))
    assert len(list((home / "data" / "folders").iterdir())) == 2


def test_a_rewritten_image_is_decoded_again(folder: Path) -> None:
    load_data(spec_of(folder))
    file = folder / "train" / "cat" / "0.png"
    stat = file.stat()
    paint(file, (11, 0, 0))
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns + 10**9))
    assert load_data(spec_of(folder)).train_images[0, 0, 0, 0] == 11


def test_a_damaged_cache_is_made_anew(folder: Path, home: Path) -> None:
    load_data(spec_of(folder))
    (cache,) = (home / "data" / "folders").iterdir()
    cache.write_bytes(cache.read_bytes()[:100])
    assert len(load_data(spec_of(folder)).train_labels) == 8


def test_an_unwritable_cache_is_no_obstacle(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SKIPSCOPE_HOME", str(tmp_path / "file"))
    assert len(load_data(spec_of(folder)).train_labels) == 8


def remove(path: Path) -> None:
    for file in sorted(path.rglob("*"), reverse=True):
        file.rmdir() if file.is_dir() else file.unlink()
    path.rmdir()


def fails(folder: Path, *parts: str) -> str:
    """The one sentence of the DataError that scanning and loading this folder raises."""
    with pytest.raises(DataError) as error:
        load_data(spec_of(folder))
    text = str(error.value)
    for part in parts:
        assert part in text
    assert text.endswith(".")
    assert "\n" not in text
    return text


def test_no_folder(tmp_path: Path) -> None:
    fails(tmp_path / "nowhere", "no folder", "nowhere", "train/CLASS/*.png")
    paint(tmp_path / "a.png")
    fails(tmp_path / "a.png", "no folder")


@pytest.mark.parametrize("split", ["train", "test"])
def test_no_split(folder: Path, split: str) -> None:
    remove(folder / split)
    fails(folder, f"has no {split!r}")
    (folder / split / "cat").mkdir(parents=True)
    fails(folder, "no images", f"{split}/cat/1.png")


def test_one_class(folder: Path) -> None:
    remove(folder / "train" / "dog")
    assert "one class, 'cat'" in fails(folder)


def test_a_test_class_that_train_lacks(folder: Path) -> None:
    paint(folder / "test" / "fox" / "1.png")
    fails(folder, "'fox'", "none in")


def test_a_truncated_image_is_named(folder: Path) -> None:
    file = folder / "train" / "dog" / "2.PNG"
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (40, 40, 3), dtype=np.uint8)).save(file)
    file.write_bytes(file.read_bytes()[:2000])
    fails(folder, "2.PNG", "cannot be decoded")
    assert scan_folder(folder, 8).classes == ("cat", "dog")  # listing decodes nothing


@pytest.mark.parametrize("content", [b"", b"GIF", b"\x89PNG\r\n\x1a\n" + b"\0" * 50])
def test_what_is_no_image_is_named(folder: Path, content: bytes) -> None:
    (folder / "test" / "cat" / "a.png").write_bytes(content)
    fails(folder, "a.png", "empty" if not content else "")


def bomb(width: int, height: int) -> bytes:
    """A tiny PNG file whose header claims a huge image."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 1000))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("side", [8_500, 10_000, 60_000])
def test_a_bomb_is_refused(folder: Path, side: int) -> None:
    (folder / "train" / "cat" / "0.png").write_bytes(bomb(side, side))
    fails(folder, "0.png", "16 million that are read")


def test_a_data_set_larger_than_memory_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("explorer.data.images.MAX_BYTES", 1000)
    fails(folder, "choose a smaller image_size")


def test_images_of_every_kind(tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    Image.new("L", (9, 9), 77).save(file)
    assert (decode_image(file, 8) == 77).all()
    Image.new("RGBA", (9, 9), (0, 0, 0, 0)).save(file)
    assert (decode_image(file, 8) == 255).all()
    Image.new("1", (9, 9), 1).save(file)
    assert (decode_image(file, 8) == 255).all()
    Image.fromarray(np.full((9, 9), 0x8040, dtype=np.uint16)).save(file)
    assert (decode_image(file, 8) == 0x80).all()
    palette = Image.new("P", (9, 9), 1)
    palette.putpalette([0, 0, 0, 250, 20, 30])
    palette.save(file)
    assert decode_image(file, 8)[:, 0, 0].tolist() == [250, 20, 30]
    # The centred square of a wide image: the red margins are cut off.
    wide = Image.new("RGB", (30, 10), (255, 0, 0))
    wide.paste((0, 0, 255), (10, 0, 20, 10))
    wide.save(file)
    assert decode_image(file, 10)[:, 5, 5].tolist() == [0, 0, 255]
    assert decode_image(file, 10)[0].max() == 0


def test_a_jpeg_obeys_its_orientation(tmp_path: Path) -> None:
    image = Image.new("RGB", (64, 64))
    image.paste((255, 255, 255), (0, 0, 64, 32))  # white above
    exif = Image.Exif()
    exif[0x0112] = 3  # turned by 180°
    image.save(tmp_path / "a.jpg", exif=exif)
    pixels = decode_image(tmp_path / "a.jpg", 8)
    assert pixels[:, 1].max() < 20
    assert pixels[:, 6].min() > 235


# ------------------------------------------------------------------------------ torchvision


def idx(array: np.ndarray) -> bytes:
    """An array in MNIST's file format, compressed."""
    head = struct.pack(">HBB", 0, 8, array.ndim)
    sizes = b"".join(struct.pack(">I", size) for size in array.shape)
    return gzip.compress(head + sizes + array.astype(np.uint8).tobytes())


@pytest.fixture
def serve() -> Iterator[Callable[[Path], str]]:
    """Serves a folder on a free local port; returns its address."""
    running = []

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

    def start(site: Path) -> str:
        handler = functools.partial(Quiet, directory=str(site))
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        running.append((server, thread))
        return f"http://127.0.0.1:{server.server_port}/"

    yield start
    for server, thread in running:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def mnist_server(
    tmp_path: Path, serve: Callable[[Path], str], monkeypatch: pytest.MonkeyPatch
) -> str:
    """A local server of a tiny set in MNIST's format, which torchvision takes for its mirror."""
    from torchvision.datasets import MNIST

    site = tmp_path / "site"
    site.mkdir()
    rng = np.random.default_rng(5)
    resources = []
    for split, n in (("train", 40), ("t10k", 10)):
        for kind, array in (
            ("images-idx3", rng.integers(0, 256, (n, 28, 28))),
            ("labels-idx1", np.arange(n) % 10),
        ):
            content = idx(array)
            name = f"{split}-{kind}-ubyte.gz"
            (site / name).write_bytes(content)
            resources.append((name, hashlib.md5(content).hexdigest()))
    url = serve(site)
    monkeypatch.setattr(MNIST, "mirrors", [url])
    monkeypatch.setattr(MNIST, "resources", resources)
    return url


@pytest.fixture
def cifar_server(
    tmp_path: Path, serve: Callable[[Path], str], monkeypatch: pytest.MonkeyPatch
) -> np.ndarray:
    """Tiny sets in CIFAR's format on a local server; returns the (60, 3, 32, 32) pixels."""
    from torchvision.datasets import CIFAR10, CIFAR100

    site = tmp_path / "site"
    site.mkdir()
    url = serve(site)
    pixels = np.random.default_rng(6).integers(0, 256, (60, 3072), dtype=np.uint8)

    def pack(loader: type, folder: str, files: dict[str, dict[str, object]]) -> dict[str, str]:
        sums = {}
        archive = site / f"{folder}.tar.gz"
        with tarfile.open(archive, "w:gz") as tar:
            for name, content in files.items():
                data = pickle.dumps(content)
                sums[name] = hashlib.md5(data).hexdigest()
                info = tarfile.TarInfo(f"{folder}/{name}")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
        monkeypatch.setattr(loader, "url", url + archive.name)
        monkeypatch.setattr(loader, "filename", archive.name)
        monkeypatch.setattr(loader, "tgz_md5", hashlib.md5(archive.read_bytes()).hexdigest())
        return sums

    labels = [i % 10 for i in range(60)]
    batches = [f"data_batch_{i}" for i in range(1, 6)]
    rows = {
        name: {"data": pixels[10 * i : 10 * i + 10], "labels": labels[10 * i : 10 * i + 10]}
        for i, name in enumerate([*batches, "test_batch"])
    }
    names = {"label_names": [f"thing {i}" for i in range(10)]}
    sums = pack(CIFAR10, "cifar-10-batches-py", {**rows, "batches.meta": names})
    monkeypatch.setattr(CIFAR10, "train_list", [[name, sums[name]] for name in batches])
    monkeypatch.setattr(CIFAR10, "test_list", [["test_batch", sums["test_batch"]]])
    monkeypatch.setattr(CIFAR10, "meta", {**CIFAR10.meta, "md5": sums["batches.meta"]})
    fine = {
        "train": {"data": pixels[:50], "fine_labels": labels[:50]},
        "test": {"data": pixels[50:], "fine_labels": labels[50:]},
        "meta": {"fine_label_names": [f"fine {i}" for i in range(100)]},
    }
    sums = pack(CIFAR100, "cifar-100-python", fine)
    monkeypatch.setattr(CIFAR100, "train_list", [["train", sums["train"]]])
    monkeypatch.setattr(CIFAR100, "test_list", [["test", sums["test"]]])
    monkeypatch.setattr(CIFAR100, "meta", {**CIFAR100.meta, "md5": sums["meta"]})
    return pixels.reshape(60, 3, 32, 32)


def test_cifar(cifar_server: np.ndarray) -> None:
    data = load_data(DataSpec(name="cifar10"))
    assert (data.train_images.numpy() == cifar_server[:50]).all()
    assert (data.test_images.numpy() == cifar_server[50:]).all()
    assert data.train_labels.tolist() == [i % 10 for i in range(50)]
    assert data.info.classes[0] == "airplane"
    hundred = load_data(DataSpec(name="cifar100"))
    assert hundred.info.classes[99] == "fine 99"  # names come with the files
    assert hundred.info.input_shape == (3, 32, 32)
    assert (hundred.test_images.numpy() == cifar_server[50:]).all()


def test_download(mnist_server: str, home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    told: list[tuple[str, float]] = []
    data = load_data(DataSpec(name="mnist"), lambda *row: told.append(row))
    assert data.train_images.shape == (40, 1, 28, 28)
    assert data.test_labels.tolist() == list(range(10))
    assert told[0][0] == "Downloading MNIST (12 MB)"
    assert told[-1][1] == 1.0
    assert capfd.readouterr().err == ""  # torchvision's own bars are silenced
    assert not list((home / "data").glob("download-*"))


def test_download_happens_once(mnist_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision.datasets import MNIST

    first = load_data(DataSpec(name="mnist"))
    monkeypatch.setattr(MNIST, "mirrors", ["http://127.0.0.1:9/"])
    again = load_data(DataSpec(name="mnist"))
    assert torch.equal(first.train_images, again.train_images)


def test_a_file_cut_short_is_fetched_again(mnist_server: str, home: Path) -> None:
    load_data(DataSpec(name="mnist"))
    raw = home / "data" / "MNIST" / "raw" / "train-images-idx3-ubyte"
    raw.write_bytes(raw.read_bytes()[:500])
    assert len(load_data(DataSpec(name="mnist")).train_labels) == 40


def test_files_placed_by_hand_need_no_network(
    mnist_server: str, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torchvision.datasets import MNIST

    monkeypatch.setattr(MNIST, "mirrors", ["http://127.0.0.1:9/"])
    raw = home / "data" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for file in (tmp_path / "site").iterdir():
        (raw / file.name).write_bytes(file.read_bytes())
    assert len(load_data(DataSpec(name="mnist")).train_labels) == 40


@pytest.mark.parametrize("name", ["mnist", "cifar10"])
def test_no_network(name: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torchvision.datasets

    nowhere = "http://127.0.0.1:9/"  # nothing listens on the discard port
    monkeypatch.setattr(torchvision.datasets.MNIST, "mirrors", [nowhere])
    monkeypatch.setattr(torchvision.datasets.CIFAR10, "url", nowhere + "cifar-10-python.tar.gz")
    with pytest.raises(DataError) as error:
        load_data(DataSpec(name=name))  # type: ignore[arg-type]
    text = str(error.value)
    assert "could not be downloaded" in text
    assert "refused" in text
    assert "check the network" in text
    assert "embedded digits" in text
    assert str(home / "data") in text
    assert "\n" not in text
    assert not list((home / "data").glob("download-*"))


def test_stopping_while_downloading(mnist_server: str) -> None:
    class Stop(Exception):
        pass

    def stop(text: str, share: float) -> None:
        raise Stop

    with pytest.raises(Stop):
        load_data(DataSpec(name="mnist"), stop)
    for thread in threading.enumerate():
        if thread.name == "download":
            thread.join(5)


# ---------------------------------------------------------------------------------- batches


def test_every_epoch_visits_every_image_once_in_a_new_order(digits: Dataset) -> None:
    batches = Batches(digits, 64, seed=3, augment=False)
    assert batches.steps_per_epoch == 22
    epochs = [torch.cat([batches.indices(epoch * 22 + i) for i in range(22)]) for epoch in range(2)]
    assert all(len(epoch.unique()) == 22 * 64 for epoch in epochs)
    assert not torch.equal(*epochs)
    assert not torch.equal(epochs[0], Batches(digits, 64, 4, False).indices(0))


@pytest.mark.parametrize("augment", [False, True])
def test_a_batch_is_a_function_of_seed_and_step(digits: Dataset, augment: bool) -> None:
    forward = Batches(digits, 50, 11, augment)
    rows = [forward.at(step) for step in range(60)]
    backward = Batches(digits, 50, 11, augment)
    for step in (59, 3, 28, 0):
        images, labels = backward.at(step)
        assert torch.equal(images, rows[step][0])
        assert torch.equal(labels, rows[step][1])
        assert images.shape == (50, 1, 8, 8)


def test_plain_batches_are_the_normalised_images(digits: Dataset) -> None:
    batches = Batches(digits, 32, 1, False)
    images, labels = batches.at(5)
    chosen = batches.indices(5)
    assert torch.equal(images, digits.normalise(digits.train_images[chosen]))
    assert torch.equal(labels, digits.train_labels[chosen])


def test_a_batch_larger_than_the_data(digits: Dataset) -> None:
    assert Batches(digits, 1437, 0, False).steps_per_epoch == 1
    with pytest.raises(SpecError, match=r"batch of 1438 .* at most 1437\."):
        Batches(digits, 1438, 0, False)


@pytest.mark.parametrize("flip", [False, True])
def test_crops_are_crops(flip: bool) -> None:
    images = torch.randint(1, 256, (300, 3, 6, 7), dtype=torch.uint8)
    out = crop_and_flip(images, 2, flip, (5, 9))
    padded = torch.nn.functional.pad(images, (2, 2, 2, 2))
    seen = set()
    for image, crop in zip(padded, out, strict=True):
        matches = {
            (y, x, mirrored)
            for y in range(5)
            for x in range(5)
            for mirrored in (False, True)
            if torch.equal(crop.flip(-1) if mirrored else crop, image[:, y : y + 6, x : x + 7])
        }
        assert matches
        seen |= matches
    assert len(seen) == (50 if flip else 25)  # every place, mirrored or not, occurs
    assert torch.equal(out, crop_and_flip(images, 2, flip, (5, 9)))
    assert not torch.equal(out, crop_and_flip(images, 2, flip, (5, 10)))


def test_digits_are_never_mirrored() -> None:
    few = load_data(DataSpec(train_limit=64, augment=True))
    batches = Batches(few, 64, 0, True)
    padded = torch.nn.functional.pad(few.train_images, (1, 1, 1, 1))
    images, _ = batches.at(0)
    for image, position in zip(images, batches.indices(0).tolist(), strict=True):
        crops = few.normalise(
            torch.stack(
                [padded[position, :, y : y + 8, x : x + 8] for y in range(3) for x in range(3)]
            )
        )
        assert (crops == image).flatten(1).all(1).any()


# ---------------------------------------------------------------------- label noise, cut-out


def test_label_noise_changes_its_share_to_other_classes(digits: Dataset) -> None:
    noisy = load_data(DataSpec(label_noise=0.25))
    changed = noisy.train_labels != digits.train_labels
    assert int(changed.sum()) == round(0.25 * 1437)
    assert torch.equal(noisy.test_labels, digits.test_labels)
    assert torch.equal(noisy.train_images, digits.train_images)
    assert torch.equal(load_data(DataSpec(label_noise=0.25)).train_labels, noisy.train_labels)
    more = load_data(DataSpec(label_noise=0.5)).train_labels != digits.train_labels
    assert bool((more | ~changed).all())  # the same ones, and more
    counts = torch.bincount(noisy.train_labels[changed], minlength=10)
    assert counts.min() > 15  # every class among the new ones: 36 each on average


def test_a_noisy_subset_is_balanced_before_the_noise() -> None:
    clean, noisy = (
        load_data(DataSpec(train_limit=50)),
        load_data(DataSpec(train_limit=50, label_noise=0.2)),
    )
    assert torch.equal(clean.train_images, noisy.train_images)
    assert int((clean.train_labels != noisy.train_labels).sum()) == 10


def test_cut_out_blanks_a_square(digits: Dataset) -> None:
    plain = Batches(digits, 100, seed=3, augment=False)
    cut = Batches(load_data(DataSpec(cutout=4)), 100, seed=3, augment=False)
    images, labels = cut.at(5)
    whole, same = plain.at(5)
    assert torch.equal(labels, same)
    blanked = (images == 0) & (whole != 0)
    assert torch.equal(images[~blanked], whole[~blanked])
    gone = images[:, 0] == 0
    sizes = set()
    for square in gone:
        rows, columns = square.any(1).nonzero().flatten(), square.any(0).nonzero().flatten()
        assert bool(square[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1].all())
        sizes.add((len(rows), len(columns)))
    assert max(sizes) == (4, 4)
    assert min(min(size) for size in sizes) == 2  # cut by the edge, never gone
    assert torch.equal(cut.at(5)[0], images)
    assert not torch.equal(cut.at(6)[0] == 0, images == 0)


def test_cut_out_larger_than_the_image() -> None:
    data = load_data(DataSpec(cutout=9))
    with pytest.raises(SpecError, match=r"cut-out of 9 pixels .* at most 8"):
        Batches(data, 10, seed=0, augment=False)


def test_images_normalised_as_others_were(digits: Dataset) -> None:
    """For a net that was trained on other images: its own mean and deviation."""
    other = digits.normalised_by((0.5,), (0.25,))
    expected = (digits.test_images[:3] / 255 - 0.5) / 0.25
    assert torch.allclose(other.normalise(digits.test_images[:3]), expected, atol=1e-5)
    assert digits.normalised_by((), ()) is digits
    assert digits.normalised_by((0.5,) * 3, (0.25,) * 3) is digits


# --------------------------------------------------------------------- folders as people have them


def put(path: Path, side: int = 16, shade: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(shade).integers(0, 255, (side, side, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def own(folder: Path, *, test: str = "test", n: int = 4) -> Path:
    for split in ("train", test):
        for name in "ab":
            for i in range(n):
                put(folder / split / name / f"{i}.png", shade=i)
    return folder


def test_hidden_folders_are_no_classes(tmp_path: Path) -> None:
    put(own(tmp_path) / "train" / ".ipynb_checkpoints" / "0-checkpoint.png")
    spec = DataSpec(name="folder", path=str(tmp_path), image_size=16)
    assert data_info(spec).classes == ("a", "b")
    assert load_data(spec).info.classes == ("a", "b")


@pytest.mark.parametrize("name", ["val", "valid", "Validation", "TEST"])
def test_validation_images_stand_for_test_images_and_it_is_said(tmp_path: Path, name: str) -> None:
    own(tmp_path / "mine", test=name)
    spec = DataSpec(name="folder", path=str(tmp_path / "mine"), image_size=16)
    data = load_data(spec)
    assert len(data.test_labels) == 8
    said = "mine" if name == "TEST" else f"mine (tested on {name!r})"
    assert data.info.title == data_info(spec).title == said


def test_a_test_folder_goes_before_a_validation_folder(tmp_path: Path) -> None:
    own(tmp_path / "mine")
    put(tmp_path / "mine" / "val" / "a" / "0.png")
    spec = DataSpec(name="folder", path=str(tmp_path / "mine"), image_size=16)
    assert len(load_data(spec).test_labels) == 8
    assert data_info(spec).title == "mine"


def test_all_broken_images_are_named_at_once(tmp_path: Path) -> None:
    own(tmp_path, n=6)
    for name in ("a/1", "a/3", "b/2"):
        (tmp_path / "train" / f"{name}.png").write_bytes(b"")
    spec = DataSpec(name="folder", path=str(tmp_path), image_size=16)
    with pytest.raises(DataError, match="3 of 24 images cannot be read") as error:
        load_data(spec)
    assert all(str(Path("train", f"{name}.png")) in str(error.value) for name in ("a/1", "b/2"))
    assert str(error.value).endswith("is empty; choose a PNG, JPEG, WEBP, BMP, GIF or TIFF file.")
    for i in range(4, 40):
        (tmp_path / "train" / "a" / f"{i}.png").write_bytes(b"no image")
    with pytest.raises(DataError, match="and 19 more; replace or remove them"):
        load_data(spec)


def test_webp_and_jfif_are_images(tmp_path: Path) -> None:
    own(tmp_path)
    put(tmp_path / "train" / "a" / "w.webp")
    put(tmp_path / "train" / "b" / "w.jfif")
    spec = DataSpec(name="folder", path=str(tmp_path), image_size=16)
    assert len(load_data(spec).train_labels) == 10
