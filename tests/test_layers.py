"""The house: every import goes down, no two rooms need each other, and torch is loaded where weights are alone."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

HERMES = Path(__file__).parents[1] / "hermes"

# From the ground up. A room may import those before it and itself; "hermes" is what lies in the top folder.
LAYERS = (
    "harness.system",
    "harness.records",
    "harness.contracts",
    "shapes",
    "harness.data",
    "harness.models",
    "harness.judges",
    "harness.questions",
    "harness.run",
    "evaluators",
    "leaderboards",
    "viewer",
    "align.settings",
    "align.losses",
    "align.pairs",
    "align.training",
    "align.play",
    "hermes",
)
TORCH_ROOMS = ("harness.models", "harness.judges", "harness.questions.checkpoints", "align.losses", "align.training")
TORCH_FILES = ("align.pairs.rating", "align.play.apart", "harness.run.gapeval", "harness.system.meeting")


@cache
def modules() -> dict[str, Path]:
    """Every module below hermes/ by its dotted name without "hermes."."""
    found = {}
    for path in HERMES.rglob("*.py"):
        parts = path.relative_to(HERMES).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def layer(module: str) -> str:
    """The room of a module; "hermes" for the top folder."""
    fitting = [name for name in LAYERS if module == name or module.startswith(f"{name}.")]
    return max(fitting, key=len) if fitting else "hermes"


def imports(path: Path, for_types: bool = True) -> Iterator[tuple[str, int]]:
    """(what is imported, where), lazy imports included, those that only type checkers see if ``for_types``."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    unseen = {
        id(inside)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for inside in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in unseen and not for_types:
            continue
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)


def inner(name: str, known: dict[str, Path]) -> str | None:
    """The module of ours that "hermes.a.b.name" is or lies in."""
    if name.partition(".")[0] != "hermes":
        return None
    parts = name.split(".")[1:]
    while parts and ".".join(parts) not in known:
        parts.pop()
    return ".".join(parts)


@cache
def arrows() -> list[tuple[str, str, str]]:
    """(importing module, imported module, place) of all of Hermes."""
    known = modules()
    return [
        (module, target, f"{path.relative_to(HERMES.parent)}:{line}")
        for module, path in known.items()
        for name, line in imports(path)
        if (target := inner(name, known)) is not None and target != module
    ]


def test_no_import_runs_upward() -> None:
    places = [
        f"{where}: {source} imports {target}"
        for source, target, where in arrows()
        if LAYERS.index(layer(target)) > LAYERS.index(layer(source))
    ]
    assert places == []


def test_the_drawing_sees_the_imports() -> None:
    found = {(source, target) for source, target, _ in arrows()}
    assert ("harness.run.runner", "harness.system.disk") in found
    assert len({layer(source) for source, _, _ in arrows()}) == len(LAYERS)


def test_there_is_no_circle_between_modules() -> None:
    eager: dict[str, set[str]] = {module: set() for module in modules()}
    for source, target, _ in arrows():
        if target != "" and modules()[target].name != "__init__.py":
            eager[source].add(target)
    try:
        TopologicalSorter(eager).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_torch_is_imported_where_weights_are() -> None:
    allowed = (*TORCH_ROOMS, *TORCH_FILES)
    places = [
        f"{module}:{line}"
        for module, path in modules().items()
        for name, line in imports(path, for_types=False)
        if name.partition(".")[0] == "torch" and not any(module == r or module.startswith(f"{r}.") for r in allowed)
    ]
    assert places == []


@pytest.mark.parametrize("room", ["harness.models", "harness.judges", "shapes"])
def test_models_and_judges_see_no_benchmark(room: str) -> None:
    seen = {target for source, target, _ in arrows() if layer(source) == room}
    assert not {target for target in seen if layer(target) in ("evaluators", "harness.run")}


def test_the_harness_has_at_most_eight_rooms() -> None:
    rooms = [path for path in (HERMES / "harness").iterdir() if path.is_dir() and path.name != "__pycache__"]
    assert len(rooms) <= 8
    assert [path.name for path in (HERMES / "harness").glob("*.py")] == ["__init__.py"]


def test_every_file_says_what_it_is_for() -> None:
    silent = [
        str(path)
        for path in modules().values()
        if (text := path.read_text(encoding="utf-8")) and not ast.get_docstring(ast.parse(text))
    ]
    assert silent == []


def test_all_that_is_printed_goes_through_the_sanitiser() -> None:
    ways = ("harness.system.text", "harness.system.screen")
    printed = re.compile(r"\bsys\.std(out|err)\.write\(|(?<![\w.])print\(|\becho\(|(?<!\w)Console\(")
    places = [
        f"{module}:{number}"
        for module, path in modules().items()
        if module not in ways
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if printed.search(line)
    ]
    assert places == []


SCRIPTS = [path for folder in ("benchmarks", "docs", "examples") for path in (HERMES.parent / folder).glob("*.py")]


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_what_scripts_import_from_hermes_is_there(path: Path) -> None:
    """They are run by hand, so nothing else would tell that a name has gone."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "hermes":
            found = import_module(str(node.module))
            missing = [one.name for one in node.names if not hasattr(found, one.name)]
            assert not missing or all(find_spec(f"{node.module}.{name}") for name in missing)
