"""The table of layers in force: who may import whom (README, "How it is built")."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "explorer"

# room -> packages that it must not import, directly or through the package's other modules
NO_TORCH = {"torch", "torchvision"}
FORBIDDEN = {
    "structure": {*NO_TORCH, "streamlit", "plotly"},
    "system": {*NO_TORCH, "streamlit", "plotly"},
    "writing": {*NO_TORCH, "streamlit", "plotly"},
    "results": {*NO_TORCH, "streamlit", "plotly"},
    "claims": {*NO_TORCH, "streamlit"},
    "claims.measures": {"streamlit", "plotly"},
    "reproduce": {*NO_TORCH, "streamlit"},
    "reproduce.measures": {"streamlit", "plotly"},
    "nets": {"streamlit", "plotly"},
    "data": {"streamlit", "plotly"},
    "training": {"streamlit", "plotly"},
    "measuring": {"streamlit", "plotly", "explorer.training"},
    "drawing": {*NO_TORCH, "streamlit"},
    "instruments": {"streamlit"},
    "runs": {"streamlit"},
    "runs.worker": {"streamlit"},  # these two are the only way from runs to torch
    "runs.sweeps.train_one": {"streamlit"},
    "pages": NO_TORCH,
    "report": {*NO_TORCH, "streamlit"},
    "cli": {"streamlit"},
    "bench": {"streamlit"},
}
# file of an instrument's folder -> likewise
FORBIDDEN_TO_FILES = {
    "ask": {*NO_TORCH, "plotly", "streamlit"},
    "result": {*NO_TORCH, "plotly", "streamlit"},
    "measure": {"plotly", "streamlit"},
    "figure": {*NO_TORCH, "streamlit"},
    "page": {*NO_TORCH, "streamlit"},
}


def modules() -> dict[str, Path]:
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = ["explorer", *path.relative_to(ROOT).with_suffix("").parts]
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported_at_the_top(path: Path) -> set[str]:
    """Modules that importing the file imports: not those inside functions or TYPE_CHECKING."""
    names: set[str] = set()

    def visit(body: list[ast.stmt]) -> None:
        for node in body:
            if isinstance(node, ast.Import):
                names.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                names.add(node.module)
                names.update(f"{node.module}.{alias.name}" for alias in node.names)
            elif isinstance(node, ast.If):
                if "TYPE_CHECKING" not in ast.unparse(node.test):
                    visit(node.body)
                visit(node.orelse)
            elif isinstance(node, (ast.Try, ast.ClassDef)):
                visit(node.body)

    visit(ast.parse(path.read_text()).body)
    return names


def everything_imported(path: Path) -> set[str]:
    """Also what its functions import when they are called."""
    return {
        name
        for node in ast.walk(ast.parse(path.read_text()))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module]
            if isinstance(node, ast.ImportFrom) and node.module
            else []
        )
    }


def is_in(module: str, part: str) -> bool:
    return f"{module}.".startswith(f"explorer.{part}.")


@pytest.mark.parametrize("part", sorted(FORBIDDEN))
def test_no_layer_reaches_past_its_neighbours(part: str) -> None:
    inner = [other for other in FORBIDDEN if other.startswith(f"{part}.")]  # have rows of their own
    inside = {
        name: path
        for name, path in modules().items()
        if is_in(name, part) and not any(is_in(name, other) for other in inner)
    }
    assert inside, f"explorer.{part} is gone: change the table, or bring it back"
    for name, path in inside.items():
        imports_none_of(FORBIDDEN[part], name, path)
        if part == "runs":  # the rest of it is the server's
            imports_none_of(NO_TORCH, name, path)


@pytest.mark.parametrize("file", sorted(FORBIDDEN_TO_FILES))
def test_an_instruments_file_imports_what_its_kind_may(file: str) -> None:
    paths = sorted((ROOT / "instruments").glob(f"*/{file}.py"))
    assert len(paths) > 30
    for path in paths:
        imports_none_of(FORBIDDEN_TO_FILES[file], f"{path.parent.name}/{path.name}", path)


def imports_none_of(bad: set[str], name: str, path: Path) -> None:
    """Neither when it is imported nor when its functions are called."""
    for imported in imported_at_the_top(path) | everything_imported(path):
        for package in bad:
            assert not f"{imported}.".startswith(f"{package}."), f"{name} imports {imported}"


@pytest.mark.parametrize(
    "module", ["explorer", "explorer.cli", "explorer.drawing", "explorer.runs.serve.service"]
)
def test_light_modules_load_no_torch(module: str) -> None:
    check = f"import sys, {module}; print('torch' in sys.modules, 'streamlit' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_a_commands_help_loads_nothing_that_draws_or_computes() -> None:
    """Reading all instruments' declarations costs a shell every time it starts."""
    check = (
        "import sys; from explorer.cli.parser import build; build();"
        "print({'torch', 'plotly', 'pandas', 'streamlit'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_the_pages_load_no_torch() -> None:
    check = (
        "import sys, explorer.pages.server.routes,"
        "explorer.pages.compare.page, explorer.pages.runs.page,"
        "explorer.pages.sweep.page;"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]


def test_streamlit_is_imported_by_the_pages_only() -> None:
    for name, path in modules().items():
        if name.startswith("explorer.pages"):
            continue
        used = {imported.split(".")[0] for imported in everything_imported(path)}
        assert "streamlit" not in used, f"{name} imports streamlit"


@pytest.mark.parametrize("role", ["train", "measure"])
def test_a_worker_is_warm_without_what_it_does_not_use(role: str) -> None:
    """Each of these would cost a starting process up to 2 s of processor time."""
    check = (
        "import sys; from explorer.runs.worker.warm import Shelf;"
        "from explorer.runs.worker.main import *;"
        f"warm_up('{role}', Shelf());"
        "print({'torch._dynamo', 'sklearn', 'scipy', 'pandas'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


# A page's links may be made, and its live views of runs drawn, on another page.
FOR_OTHER_PAGES = {"explorer.pages.instruments.links", "explorer.pages.compare.run_views"}


def test_pages_know_only_what_they_share() -> None:
    rooms = {path.parent.name for path in (ROOT / "pages").glob("*/page.py")}
    assert len(rooms) >= 6
    for name, path in modules().items():
        room = name.split(".")[2] if name.startswith("explorer.pages.") else None
        if room not in {*rooms, "shared"}:
            continue
        for imported in imported_at_the_top(path) | everything_imported(path):
            parts = imported.split(".")
            if parts[:2] == ["explorer", "pages"] and parts[2:3] and parts[2] in rooms - {room}:
                reached = ".".join(parts[:4])
                assert len(parts) == 3 or reached in FOR_OTHER_PAGES, f"{name} imports {imported}"
