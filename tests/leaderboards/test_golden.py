"""Every table of every preset in every format, and on a terminal of 80 columns, as it was last looked at.

`python tests/leaderboards/test_golden.py` writes the files again; look at what changed before it is kept.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from golden_runs import rounds, write

from hermes.harness.system.screen import Screen
from hermes.leaderboards import FORMATS, compare, comparison, leaderboard, tables_of
from hermes.leaderboards.compared import tables
from hermes.leaderboards.console import document
from hermes.leaderboards.presets import TABLES

GOLDEN = Path(__file__).parent / "golden"
WIDTH = 80
SUFFIXES = {"latex": "tex", "screen": "txt"}
SHOWN = ("md", "latex", "html", "screen")
OPTIONS: dict[str, dict[str, Any]] = {
    "leaderboard": {"deltas": True},
    **{name: {"table": name, "published": True} for name in TABLES},
    "chosen": {"columns": ("gap", "GenEval", "mmmu"), "sort": "gap", "precision": 2, "base": "tiny β"},
    "intervals": {"columns": ("gap", "pope"), "intervals": True},
}
CASES = [
    *((name, format) for name in OPTIONS for format in SHOWN),
    *((name, format) for name in ("leaderboard", *TABLES) for format in ("csv",)),
    *(("comparison", format) for format in (*FORMATS, "screen")),
]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("golden"))


@pytest.mark.parametrize(("name", "format"), CASES, ids="-".join)
def test_tables_are_as_they_were_looked_at(runs: Path, name: str, format: str) -> None:
    assert made(runs, name, format) == golden(name, format).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["leaderboard", *TABLES])
def test_json_holds_what_csv_holds(runs: Path, name: str) -> None:
    """The CSV is looked at, so its file pins both."""
    rows = json.loads(made(runs, name, "json"))
    texts = dict.fromkeys(("version", "run", "revision", "weights"), str)
    table = pd.read_csv(golden(name, "csv"), keep_default_na=False, na_values=[""], dtype=texts).astype(object)
    assert len(rows) == len(table)
    for row, wanted in zip(rows, table.where(table.notna(), None).to_dict("records"), strict=True):
        assert row == {name: pytest.approx(one) if isinstance(one, float) else one for name, one in wanted.items()}


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.txt")), ids=lambda path: path.stem)
def test_tables_on_a_terminal_fit_it(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines
    assert max(map(len, lines)) <= WIDTH


def test_there_is_no_golden_file_without_a_case() -> None:
    assert set(GOLDEN.iterdir()) == {golden(name, format) for name, format in CASES}


def golden(name: str, format: str) -> Path:
    return GOLDEN / f"{name}.{SUFFIXES.get(format, format)}"


def made(runs: Path, name: str, format: str) -> str:
    """What is shown; of HTML without its style, which is no table's matter."""
    return re.sub(r"<style>.*?</style>", "", _made(runs, name, format), flags=re.DOTALL)


def _made(runs: Path, name: str, format: str) -> str:
    if name == "comparison":
        found = compare(rounds(runs))
        return (
            comparison(found, format) if format != "screen" else on_screen(document(tables(found, False), False, WIDTH))
        )
    options = OPTIONS[name]
    if format == "screen":
        shown = {key: value for key, value in options.items() if key != "intervals"}
        return on_screen(document(tables_of(runs, **shown), options.get("intervals", False), WIDTH))
    if format in ("csv", "json"):
        options = {key: value for key, value in options.items() if key == "table"}
    return leaderboard(runs, format, **options)


def on_screen(what: Any) -> str:
    screen = Screen(width=WIDTH, color_system=None, force_terminal=False)
    with screen.capture() as shown:
        screen.print(what)
    return shown.get()


if __name__ == "__main__":
    import tempfile

    GOLDEN.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        made_runs = write(Path(folder))
        for case in CASES:
            golden(*case).write_text(made(made_runs, *case), encoding="utf-8")
    sys.stdout.write(f"written: {len(CASES)} files\n")
