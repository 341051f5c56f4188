"""Mutants: small faults in the code that some test must notice. `python tests/mutants.py [NAME ...]`

Each mutant of mutants.toml is put into a copy of the project, and its tests are run there. They must pass without it
and fail with it. Survivors are listed, and then the exit code is 1. It is no part of the suite, which only checks that
the list still fits the code (test_mutants.py).
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

HOME = Path(__file__).parents[1]
LIST = Path(__file__).with_name("mutants.toml")
SECONDS = 600


@dataclass(frozen=True)
class Mutant:
    """``old``, which stands once in ``file``, becomes ``new``; ``tests`` are what pytest is given."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


def mutants() -> list[Mutant]:
    """All mutants of the list."""
    content = tomllib.loads(LIST.read_text(encoding="utf-8"))
    return [Mutant(name, **{**one, "tests": tuple(one["tests"])}) for name, one in content.items()]


def mutated(mutant: Mutant, home: Path = HOME) -> str:
    """The file's text with the fault. Raises ValueError where the list no longer fits the code."""
    text = (home / mutant.file).read_text(encoding="utf-8")
    if text.count(mutant.old) != 1:
        raise ValueError(f"{mutant.name}: {mutant.old!r} stands {text.count(mutant.old)} times in {mutant.file}")
    return text.replace(mutant.old, mutant.new)


def passes(home: Path, tests: Iterable[str]) -> bool:
    """Whether the tests pass in a copy of the project; tests that hang fail."""
    command = (sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests)
    environment = os.environ | {"PYTHONPATH": str(home), "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(command, cwd=home, env=environment, capture_output=True, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return False
    if done.returncode not in (0, 1):  # 2 and more: nothing was tested
        print(done.stdout.decode()[-2000:], file=sys.stderr)
        raise SystemExit(f"pytest ended with {done.returncode} on {' '.join(tests)}")
    return done.returncode == 0


@contextmanager
def copies(count: int) -> Iterator[list[Path]]:
    """As many copies of what git tracks or would track."""
    command = ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    names = subprocess.run(command, cwd=HOME, capture_output=True, text=True, check=True).stdout
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        homes = [Path(folder) / str(number) for number in range(count)]
        for home in homes:
            for name in filter(None, names.split("\0")):
                if (HOME / name).is_file():
                    (home / name).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy2(HOME / name, home / name)
        yield homes


def fate(mutant: Mutant, home: Path, sound: dict[tuple[str, ...], bool]) -> str:
    """What becomes of a mutant: "killed", "SURVIVED", or "BROKEN" where its tests fail without it.

    ``sound`` remembers which tests pass without a mutant.
    """
    path = home / mutant.file
    whole = path.read_text(encoding="utf-8")
    path.write_text(mutated(mutant, home), encoding="utf-8")
    survived = passes(home, mutant.tests)
    path.write_text(whole, encoding="utf-8")
    if survived:
        return "SURVIVED"
    if mutant.tests not in sound:
        sound[mutant.tests] = passes(home, mutant.tests)
    return "killed" if sound[mutant.tests] else "BROKEN"


def each(chosen: Iterable[Mutant], homes: Iterable[Path], show: Callable[[Mutant, str], None]) -> None:
    """The fate of every mutant, as many at a time as there are copies."""
    free, sound = SimpleQueue[Path](), dict[tuple[str, ...], bool]()
    for home in homes:
        free.put(home)

    def one(mutant: Mutant) -> None:
        home = free.get()
        show(mutant, fate(mutant, home, sound))
        free.put(home)

    with ThreadPoolExecutor(free.qsize()) as pool:
        list(pool.map(one, chosen))


def main() -> None:
    parser = argparse.ArgumentParser(description="Put small faults into the code and see that tests notice them.")
    parser.add_argument("names", nargs="*", help="which mutants; all where none is named")
    parser.add_argument("--jobs", type=int, default=1, help="how many at a time")
    given = parser.parse_args()
    chosen = [one for one in mutants() if not given.names or one.name in given.names]
    if unknown := set(given.names) - {one.name for one in chosen}:
        parser.error(f"no mutant is called {', '.join(sorted(unknown))}")
    found: dict[str, str] = {}

    def show(mutant: Mutant, end: str) -> None:
        found[mutant.name] = end
        print(f"{len(found):3}/{len(chosen)} {end:8} {mutant.name}", flush=True)

    with copies(given.jobs) as homes:
        each(chosen, homes, show)
    left = [name for name, end in found.items() if end != "killed"]
    print(f"{len(found) - len(left)} of {len(found)} killed" + (f"; not {', '.join(left)}" if left else ""))
    raise SystemExit(bool(left))


if __name__ == "__main__":
    main()
