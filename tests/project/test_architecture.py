"""The house has floors: an import goes down, and nothing goes round in a circle. Read from the sources."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "python" / "steepest"
CORE = ROOT / "cpp" / "core"

# Modules and packages by floor. An import goes to a lower floor, or to a neighbor without a circle.
FLOORS = (
    (
        "_core",
        "_validation",
        "_extras",
        "_arrays",
        "_blocks",
        "_probabilities",
        "_ctrl_c",
        "_mapped",
        "_parallel",
        "_read_ahead",
        "_safe_io",
        "_html",
        "_show_versions",
        "metrics",
        "losses",
    ),
    (
        "_threadpool",
        "distributed",
        "_model_file",
        "_layer",
        "embeddings",
        "layers",
        "files",
        "history",
        "schedules",
        "optimizers",
    ),
    ("network", "callbacks", "tables"),
    ("training", "stream"),
    ("recipe", "calibration", "online"),
    ("estimators", "descent", "pages"),
    ("explain", "report", "selection", "_load", "_predict_batches"),
    ("cli", "demo", "__main__"),
)
CORE_FLOORS = (
    (
        "access",
        "forks",
        "host",
        "narrow",
        "memory",
        "buffer",
        "dispatch",
        "parallel",
        "random",
        "optimizer",
        "metrics",
        "array_view",
        "top_k",
        "scaling",
        "expansion",
        "chooser",
        "tasks",
    ),
    ("adaptive_team", "network", "targets"),
    ("plan", "plan_builder", "plan_categories", "plan_dense", "plan_embeddings", "plan_layers", "stored_update"),
    ("passes", "layerwise", "batch"),
    ("parameter_state", "train_step", "measurement"),
    ("trainer",),
    ("course",),
    ("course",),
)

Graph = Mapping[str, set[str]]


def module_name(path: Path, package: Path) -> str:
    """The name of a source file within the package: "tables.encoder", or "tables" for its __init__."""
    parts = path.relative_to(package).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(path: Path, package: Path) -> Iterator[str]:
    """What a file imports of the package, those for type checkers and within functions too; "" is its __init__."""
    here = path.relative_to(package).parts
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = here[: len(here) - node.level]
            assert node.level <= len(here), f"{path}: an import from outside of the package"
            if node.module:
                yield ".".join((*base, node.module))
            else:  # from . import name: the package itself
                yield ".".join(base)
        names = [node.module] if isinstance(node, ast.ImportFrom) and not node.level else []
        names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        for name in names:
            if name and name.split(".")[0] == package.name:
                yield ".".join(name.split(".")[1:])


def python_graph(package: Path) -> Graph:
    """Which module imports which, those of __init__ of the whole package aside."""
    paths = [path for path in package.rglob("*.py") if path != package / "__init__.py"]
    return {module_name(path, package): set(imports_of(path, package)) for path in paths}


def core_graph(folder: Path) -> Graph:
    """Which part of the core, a header and its source, includes which."""
    graph: dict[str, set[str]] = {}
    for path in folder.glob("*.?pp"):
        found = re.findall(r'#include "(?:\.\./core/)?(\w+)\.hpp"', path.read_text())
        graph.setdefault(path.stem, set()).update(name for name in found if name != path.stem)
    return graph


def upward(graph: Graph, floors: tuple[tuple[str, ...], ...]) -> list[str]:
    """The imports that go up, and the modules that stand on no floor."""
    floor = {name: number for number, names in enumerate(floors) for name in names}
    room = {name: name.split(".")[0] for name in {*graph, *(to for found in graph.values() for to in found)}}
    lost = sorted(f"{name} has no floor" for name in room if room[name] not in floor)
    return lost or [
        f"{name} imports {to}"
        for name, found in sorted(graph.items())
        for to in sorted(found)
        if floor[room[name]] < floor[room[to]]
    ]


def circle(graph: Graph) -> list[str]:
    """A circle of imports, empty if there is none."""
    done: set[str] = set()

    def visit(name: str, path: list[str]) -> list[str]:
        if name in path:
            return [*path[path.index(name) :], name]
        if name in done:
            return []
        for to in sorted(graph.get(name, ())):
            if found := visit(to, [*path, name]):
                return found
        done.add(name)
        return []

    for name in sorted(graph):
        if found := visit(name, []):
            return found
    return []


def between_rooms(graph: Graph) -> Graph:
    """The same graph where a whole folder is one node."""
    rooms: dict[str, set[str]] = {}
    for name, found in graph.items():
        room = name.split(".")[0]
        rooms.setdefault(room, set()).update(to.split(".")[0] for to in found)
        rooms[room].discard(room)
    return rooms


def test_no_import_goes_up() -> None:
    assert upward(python_graph(PACKAGE), FLOORS) == []


def test_no_import_goes_round_in_a_circle() -> None:
    graph = python_graph(PACKAGE)
    assert circle(graph) == [] and circle(between_rooms(graph)) == []


def test_no_include_of_the_core_goes_up_or_in_a_circle() -> None:
    graph = core_graph(CORE)
    assert upward(graph, CORE_FLOORS) == [] and circle(graph) == []


def test_the_core_knows_no_python() -> None:
    sources = [path for folder in ("core", "kernels") for path in (ROOT / "cpp" / folder).iterdir()]
    assert sources and not [path for path in sources if re.search(r"pybind11|Python\.h", path.read_text())]


def test_the_bindings_import_leaves_alone() -> None:
    found = {
        name
        for path in (ROOT / "cpp" / "bindings").iterdir()
        for name in re.findall(r'import\("steepest\.?([\w.]*)"\)', path.read_text())
    }
    assert found <= set(FLOORS[0])


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("from ..estimators import MLPClassifier", "imports estimators"),
        ("from steepest.estimators import MLPClassifier", "imports estimators"),
        ("import steepest.cli.main", "imports cli.main"),
        ("if TYPE_CHECKING:\n    from ..training import Trainer", "imports training"),
        ("def f():\n    from ..explain import page", "imports explain"),
        ("from .. import schedules", " has no floor"),
        ("from ..unknown import x", "unknown has no floor"),
    ],
)
def test_an_import_that_goes_up_is_found(line: str, wrong: str, tmp_path: Path) -> None:
    package = tmp_path / "steepest"
    (package / "tables").mkdir(parents=True)
    (package / "tables" / "encoder.py").write_text(f"from .._validation import number\n{line}\n")
    assert any(wrong in found for found in upward(python_graph(package), FLOORS))


@pytest.mark.parametrize("line", ["from . import b", "from .b import y", "def f():\n    from .b import y"])
def test_a_circle_is_found(line: str, tmp_path: Path) -> None:
    package = tmp_path / "steepest"
    (package / "tables").mkdir(parents=True)
    (package / "tables" / "__init__.py").write_text("from .a import x\n")
    (package / "tables" / "a.py").write_text(f"{line}\n")
    (package / "tables" / "b.py").write_text("from .a import x\n")
    assert circle(python_graph(package))


def test_an_include_that_goes_up_is_found(tmp_path: Path) -> None:
    (tmp_path / "buffer.hpp").write_text('#include "trainer.hpp"\n')
    (tmp_path / "trainer.cpp").write_text('#include "trainer.hpp"\n#include "buffer.hpp"\n')
    graph = core_graph(tmp_path)
    assert upward(graph, CORE_FLOORS) == ["buffer imports trainer"] and circle(graph)
