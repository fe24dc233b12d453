"""Files are there whole or as they were before, and what a killed process left goes."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from explorer.system import files

KILLED = (
    "import os, signal, sys; from pathlib import Path; from explorer.system.files import whole\n"
    "with whole(Path(sys.argv[1])) as partial:\n"
    "    partial.write_bytes(b'half of')\n"
    "    os.kill(os.getpid(), signal.SIGKILL)\n"
)


def killed_while_writing(path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, str(path)])
    assert done.returncode == -signal.SIGKILL


def test_a_kill_while_writing_leaves_the_old_file_and_its_rest_is_swept(tmp_path: Path) -> None:
    path = tmp_path / "card.json"
    files.write_text(path, "the old one")
    killed_while_writing(path)
    assert path.read_text() == "the old one"
    assert len(list(tmp_path.iterdir())) == 2
    files.write_text(path, "the new one")  # the next writer of this file clears up after it
    assert [p.name for p in tmp_path.iterdir()] == ["card.json"]
    assert path.read_text() == "the new one"


def test_only_what_nobody_will_finish_is_swept(tmp_path: Path) -> None:
    inner = tmp_path / "runs" / "one"
    inner.mkdir(parents=True)
    killed_while_writing(inner / "weights.safetensors")
    kept = ["notes.partial", "download-me", ".hidden.123.partial", "x.json.77.partial"]
    for name in kept:
        (inner / name).write_text("a person's own")
    with files.whole(inner / "mine.json") as mine:  # of a process that is alive
        mine.write_text("unfinished")
        files.sweep(tmp_path, depth=2)
        assert mine.exists()
    assert sorted(p.name for p in inner.iterdir()) == sorted([*kept, "mine.json"])


def test_another_machines_rest_goes_after_a_day(tmp_path: Path) -> None:
    theirs = tmp_path / ".a.json.999999-0@another-machine.partial"
    theirs.write_text("theirs")
    files.sweep(tmp_path)
    assert theirs.exists()
    long_ago = time.time() - files.OLD - 60
    os.utime(theirs, (long_ago, long_ago))
    files.sweep(tmp_path)
    assert not theirs.exists()


@pytest.mark.parametrize("umask", [0o022, 0o027, 0o077])
def test_permissions_are_the_usual_ones_whatever_writes(tmp_path: Path, umask: int) -> None:
    from explorer.training import checkpoint

    before = os.umask(umask)
    try:
        files.write_text(tmp_path / "card.json", "{}")
        checkpoint.write(tmp_path / "weights.safetensors", {}, {"step": 1})
    finally:
        os.umask(before)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {0o666 & ~umask}
    (tmp_path / "card.json").chmod(0o640)
    files.write_text(tmp_path / "card.json", "[]")  # a person's own choice stays
    assert stat.S_IMODE((tmp_path / "card.json").stat().st_mode) == 0o640


def test_links_stay_links_and_devices_devices(tmp_path: Path) -> None:
    target = tmp_path / "target.html"
    target.write_text("old")
    link = tmp_path / "link.html"
    link.symlink_to(target)
    files.write_text(link, "new")
    assert link.is_symlink()
    assert target.read_text() == "new"
    files.write_text(os.devnull, "gone")
    assert not Path(os.devnull).is_file()


def test_what_cannot_be_written_leaves_the_old_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    files.write_text(path, "old")

    def fails() -> None:
        with files.whole(path) as partial:
            partial.write_text("half")
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        fails()
    assert [p.name for p in tmp_path.iterdir()] == ["table.csv"]
    assert path.read_text() == "old"


def test_a_name_as_long_as_can_be(tmp_path: Path) -> None:
    for name in ("x" * 255, "ü" * 127):
        files.write_text(tmp_path / name, name)
        assert (tmp_path / name).read_text() == name


def test_what_is_appended_is_there_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import resource

    path = tmp_path / "lines"
    files.append(path, b"one\n")
    files.append(path, b"two\n", to_disk=True)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, before[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            files.append(path, b"three\n")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert path.read_bytes() == b"one\ntwo\n"


def test_a_folder_is_removed_in_one_step(tmp_path: Path) -> None:
    folder = tmp_path / "sweep"
    (folder / "run").mkdir(parents=True)
    (folder / "run" / "result.json").write_text("{}")
    files.remove_folder(folder)
    files.remove_folder(folder)  # it is gone already
    assert list(tmp_path.iterdir()) == []


def test_no_other_way_of_writing_is_left() -> None:
    """Whoever writes a file does it by :mod:`explorer.system.files`."""
    root = Path(files.__file__).parent
    ways = (".write_text(", ".write_bytes(", 'open("w', "open('w", "to_csv(path", "write_html(")
    found = [
        f"{path.relative_to(root)}: {line.strip()}"
        for path in sorted(root.rglob("*.py"))
        for line in path.read_text().splitlines()
        if any(way in line for way in ways)
    ]
    allowed = ("files.py", "bench/")  # the benchmark's server log and Linux's counters
    assert [line for line in found if not line.startswith(allowed)] == []
