"""The table of layers in force: who may import whom (README, "How it is built")."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "explorer"

# part -> packages that it must not import, directly or through the package's other modules
FORBIDDEN = {
    "specs": {"torch", "torchvision", "streamlit"},
    "names": {"torch", "torchvision", "streamlit"},
    "conventions": {"torch", "torchvision", "streamlit"},
    "end_point_names": {"torch", "torchvision", "streamlit"},
    "blueprint": {"torch", "torchvision", "streamlit"},
    "graph": {"torch", "torchvision", "streamlit"},
    "memory": {"torch", "torchvision", "streamlit"},
    "comparison": {"torch", "torchvision", "streamlit"},
    "shipped": {"torch", "torchvision", "streamlit"},
    "external": {"torch", "torchvision", "streamlit"},
    "claims": {"torch", "torchvision", "streamlit"},
    "claims.measures": {"streamlit", "plotly"},
    "paths": {"torch", "torchvision", "streamlit"},
    "path_counts": {"torch", "torchvision", "streamlit"},
    "unravelled": {"torch", "torchvision", "streamlit"},
    "results": {"torch", "torchvision", "streamlit"},
    "charts": {"torch", "torchvision", "streamlit"},
    "nets": {"streamlit", "plotly"},
    "data": {"streamlit", "plotly"},
    "training": {"streamlit", "plotly"},
    "probes": {"streamlit", "plotly", "explorer.training"},
    "runs": {"streamlit"},
    "report": {"torch", "torchvision", "streamlit"},
    "ui": {"torch", "torchvision"},
    "cli": {"streamlit"},
    "bench": {"streamlit"},
}
IN_WORKERS = {"explorer.runs.worker", "explorer.runs.jobs"}  # the only way from runs to torch


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
        if is_in(name, part)
        and not any(is_in(name, other) for other in inner)
        and name not in IN_WORKERS
    }
    assert inside, f"explorer.{part} is gone: change the table, or bring it back"
    lazily_torch = part in ("runs", "data")  # data's loaders and runs' worker import it when used
    for name, path in inside.items():
        for imported in imported_at_the_top(path) | (
            set() if lazily_torch or part in ("cli", "bench") else everything_imported(path)
        ):
            for bad in FORBIDDEN[part]:
                assert imported != bad, f"{name} imports {bad}"
                assert not imported.startswith(bad + "."), f"{name} imports {imported}"


@pytest.mark.parametrize(
    "module", ["explorer", "explorer.cli", "explorer.charts", "explorer.runs.service"]
)
def test_light_modules_load_no_torch(module: str) -> None:
    check = f"import sys, {module}; print('torch' in sys.modules, 'streamlit' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_the_pages_load_no_torch() -> None:
    check = (
        "import sys, explorer.ui.server, explorer.ui.screens.compare, explorer.ui.screens.runs,"
        "explorer.ui.screens.sweep;"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]


def test_streamlit_is_imported_by_the_pages_only() -> None:
    for name, path in modules().items():
        if name.startswith("explorer.ui"):
            continue
        used = {imported.split(".")[0] for imported in everything_imported(path)}
        assert "streamlit" not in used, f"{name} imports streamlit"


@pytest.mark.parametrize("role", ["train", "measure"])
def test_a_worker_is_warm_without_what_it_does_not_use(role: str) -> None:
    """Each of these would cost a starting process up to 2 s of processor time."""
    check = (
        "import sys; from explorer.runs.jobs import Shelf; from explorer.runs.worker import *;"
        f"warm_up('{role}', Shelf());"
        "print({'torch._dynamo', 'sklearn', 'scipy', 'pandas'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
