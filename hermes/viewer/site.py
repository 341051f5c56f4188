"""The data of every page by name, from what runs have left: for the server one by one, for a static site all."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Lock
from typing import Any

from hermes.harness.run.gap import GENERATION, UNDERSTANDING
from hermes.harness.system.environment import package_version
from hermes.leaderboards.stored import TaskFiles
from hermes.viewer.details import detail
from hermes.viewer.found import Found, FoundPlay, FoundRun, find, safe
from hermes.viewer.homologous import Homologous
from hermes.viewer.overview import play_entry, run_entry
from hermes.viewer.pairs import PREFERENCES, Pairs, steps, training_log
from hermes.viewer.pictures import Pictures
from hermes.viewer.rows import Rows, stamp

CHUNK, ITEMS = 200, 100  # Rows, pairs and homologous items a file; items of a self-play a file.
KEPT = 16  # Tasks whose columns are kept; those that were looked at last.

Payload = dict[str, Any]


class Site:
    """The data of all pages. ``live``: what is read may change, so it is looked at again each time."""

    def __init__(self, paths: Sequence[Path], live: bool = True) -> None:
        self.paths, self.live = paths, live
        self.pictures = Pictures()
        self._lock = Lock()
        self._found = find(paths)
        self._rows: dict[tuple[str, str], tuple[Any, Rows]] = {}
        self._items: dict[str, tuple[Any, Homologous]] = {}

    def payload(self, name: str) -> Payload | None:
        """The data of this name; None where there is none. Raises HermesError for files that cannot be read."""
        with self._lock:
            try:
                return self._payload(name.split("/"))
            except (KeyError, IndexError):
                return None

    def names(self) -> Iterator[str]:
        """The names of all data, the overview first."""
        yield "index"
        for run in self._found.runs.values():
            for task in run.tasks:
                if (rows := self._task_rows(run, task)) is not None:
                    yield from _with_chunks(f"runs/{run.key}/{task}/rows", len(rows), CHUNK)
            if items := self._homologous(run):
                yield from _with_chunks(f"runs/{run.key}/homologous", len(items.ids), CHUNK)
        for play in self._found.plays.values():
            if ids := self._play_items(play):
                yield from _with_chunks(f"plays/{play.key}/items", len(ids), ITEMS)
            for one in play.history.rounds:
                if (play.history.path / f"round-{one.round}" / PREFERENCES).is_file():
                    count = len(Pairs(play.history.path, one.round))
                    yield from _with_chunks(f"plays/{play.key}/pairs-{one.round}", count, CHUNK)
                if training_log(play.history.path, one.round).is_file():
                    yield f"plays/{play.key}/training-{one.round}"

    def _payload(self, parts: Sequence[str]) -> Payload | None:
        match parts:
            case ["index"]:
                return self._index()
            case ["runs", key, task, name] if found := re.fullmatch(r"rows(?:-(\d+))?", name):
                rows = self._task_rows(self._found.runs[key], task)
                return None if rows is None else self._of_rows(rows, found[1])
            case ["runs", key, name] if found := re.fullmatch(r"homologous(?:-(\d+))?", name):
                items = self._homologous(self._found.runs[key])
                return None if items is None else self._of_items(items, found[1])
            case ["plays", key, name] if found := re.fullmatch(r"items(?:-(\d+))?", name):
                return self._of_play(self._found.plays[key], found[1])
            case ["plays", key, name] if found := re.fullmatch(r"pairs-(\d+)(?:-(\d+))?", name):
                return self._of_pairs(self._found.plays[key], int(found[1]), found[2])
            case ["plays", key, name] if found := re.fullmatch(r"training-(\d+)", name):
                path = training_log(self._found.plays[key].history.path, int(found[1]))
                return dict(steps(path)) if path.is_file() else None
        return None

    def _index(self) -> Payload:
        if self.live:
            self._found = find(self.paths)
        found: Found = self._found
        return {
            "version": package_version("hermes-bench") or "",
            "root": ", ".join(map(str, self.paths)),
            "live": self.live,
            "runs": [self._run(run) for run in found.runs.values()],
            "plays": [play_entry(play, self._count_items(play)) for play in found.plays.values()],
            "problems": found.problems,
        }

    def _run(self, run: FoundRun) -> Payload:
        rows: dict[str, int | None] = {}
        stored: dict[str, bool] = {}
        for key, name in run.tasks.items():
            files = run.files(name)
            result = run.run.results.get(name) if run.run else None
            told = sum(result.counts.get(what, 0) for what in ("scored", "unparsed", "error")) if result else None
            there = files is not None and (files.scores.is_file() or files.store.is_dir())
            rows[key] = told if result and there else _count(files) if files else None
            stored[key] = files is not None and (files.samples.is_file() or result is None)
        return run_entry(run, rows, stored, self._pairable(run))

    def _pairable(self, run: FoundRun) -> int | None:
        """How many items have both sides, from the result alone: nothing is read for the overview."""
        gaps = (run.run.gap.homologous, *run.run.gap.variants.values()) if run.run else ()
        gap = next((one for one in gaps if one), None)
        return gap.items if gap and run.files(UNDERSTANDING) else None

    def _count_items(self, play: FoundPlay) -> int | None:
        counts = [self._pairable(self._found.runs[key]) for key in play.runs.values() if key in self._found.runs]
        return max((count for count in counts if count), default=None)

    def _task_rows(self, run: FoundRun, task: str) -> Rows | None:
        """The rows of a task, read again where its files have changed; None where nothing of it is there."""
        name = run.tasks[task]
        files = run.files(name)
        if files is None or not (files.scores.is_file() or files.store.is_dir()):
            return None
        now, place = stamp(files), (run.key, task)
        then, rows = self._rows.pop(place, (None, None))
        if rows is None or then != now:
            result = run.run.results.get(name) if run.run else None
            rows = Rows(files, result.headline if result else "")
        self._rows[place] = (now, rows)  # the last that was looked at
        while len(self._rows) > KEPT:
            del self._rows[next(iter(self._rows))]
        return rows

    def _of_rows(self, rows: Rows, chunk: str | None) -> Payload:
        if chunk is None:
            content = vars(rows.columns)
            return {"n": len(rows), "chunk": CHUNK, "stored": rows.stored, "problems": rows.problems, **content}
        numbers = _part(len(rows), CHUNK, chunk)
        return {"rows": [detail(row, rows.files, self.pictures) for row in rows.rows(numbers)]}

    def _homologous(self, run: FoundRun) -> Homologous | None:
        """Both sides of the items of a run; None where it has not both."""
        drawing = _drawing(run)
        if drawing is None or UNDERSTANDING not in run.tasks.values():
            return None
        u, g = self._task_rows(run, safe(UNDERSTANDING)), self._task_rows(run, safe(drawing))
        if u is None or g is None:
            return None
        if run.key not in self._items or self._items[run.key][0] != (id(u), id(g)):
            self._items[run.key] = ((id(u), id(g)), Homologous(u, g))
            while len(self._items) > KEPT:
                del self._items[next(iter(self._items))]
        return self._items[run.key][1]

    def _of_items(self, items: Homologous, chunk: str | None) -> Payload:
        if chunk is None:
            columns = {"id": items.ids, "caption": items.captions, "u": items.u, "g": items.g}
            return {"n": len(items.ids), "chunk": CHUNK, **columns}
        return {"items": items.items(_part(len(items.ids), CHUNK, chunk), self.pictures)}

    def _rounds(self, play: FoundPlay) -> dict[int, Homologous]:
        """Both sides of the items of every round that still has them."""
        found = {number: self._homologous(self._found.runs[key]) for number, key in play.runs.items()}
        return {number: items for number, items in found.items() if items}

    def _play_items(self, play: FoundPlay) -> list[str]:
        return list(dict.fromkeys(item for items in self._rounds(play).values() for item in items.ids))

    def _of_play(self, play: FoundPlay, chunk: str | None) -> Payload | None:
        rounds = self._rounds(play)
        ids = self._play_items(play)
        if not ids:
            return None
        if chunk is None:
            captions: dict[str, str] = {}
            for items in rounds.values():
                captions = dict(zip(items.ids, items.captions, strict=True)) | captions
            sides = {side: [[_of(items, side, name) for items in rounds.values()] for name in ids] for side in "ug"}
            columns = {"id": ids, "caption": [captions[name] for name in ids], **sides}
            return {"n": len(ids), "chunk": ITEMS, "rounds": list(rounds), **columns}
        wanted = [ids[number] for number in _part(len(ids), ITEMS, chunk)]
        return {"items": [self._over_rounds(name, rounds) for name in wanted]}

    def _over_rounds(self, name: str, rounds: dict[int, Homologous]) -> Payload:
        """One item in every round."""
        shown = []
        first: Payload = {}
        for number, items in rounds.items():
            if (place := items.place(name)) is not None:
                (item,) = items.items([place], self.pictures)
                first = first or item
                shown.append({"round": number} | {key: item[key] for key in ("drawn", "u", "g", "questions")})
        return {"id": name, "caption": first["caption"], "real": first["real"], "rounds": shown}

    def _of_pairs(self, play: FoundPlay, number: int, chunk: str | None) -> Payload | None:
        folder = play.history.path
        if not (folder / f"round-{number}" / PREFERENCES).is_file():
            return None
        pairs = Pairs(folder, number)
        if chunk is None:
            margins = {f"margin_{side}": values for side, values in pairs.margins.items()}
            columns = {"id": pairs.ids, "caption": pairs.captions, "problems": pairs.problems}
            return {"n": len(pairs), "chunk": CHUNK, **margins, **columns}
        return {"n": len(pairs), "pairs": pairs.pairs(_part(len(pairs), CHUNK, chunk), self.pictures)}


def _drawing(run: FoundRun) -> str | None:
    """The task that draws homologous items; of several ways to draw the plain one."""
    names = [name for name in run.tasks.values() if name.partition("@")[0] == GENERATION]
    return GENERATION if GENERATION in names else next(iter(names), None)


def _of(items: Homologous, side: str, name: str) -> float | None:
    place = items.place(name)
    return None if place is None else getattr(items, side)[place]


def _part(total: int, size: int, chunk: str) -> range:
    """The numbers of a chunk. Raises IndexError where there is none."""
    start = int(chunk) * size
    if start >= total:
        raise IndexError(chunk)
    return range(start, min(total, start + size))


def _with_chunks(name: str, total: int, size: int) -> Iterator[str]:
    yield name
    yield from (f"{name}-{number}" for number in range(-(-total // size)))


def _count(files: TaskFiles) -> int | None:
    """How many answers a task in progress has, or None."""
    lines = 0
    for path in files.store.glob("responses.*.jsonl"):
        with path.open("rb") as file:
            lines += sum(1 for _ in file)
    return lines or None
