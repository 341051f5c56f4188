"""The data of every page by name, from what runs have left: for the server one by one, for a static site all."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

from hermes.harness.data.stamps import file_stamp
from hermes.harness.run.gap import GENERATION, UNDERSTANDING
from hermes.harness.system.environment import package_version
from hermes.leaderboards.stored import TaskFiles
from hermes.viewer.details import detail
from hermes.viewer.found import Found, FoundPlay, FoundRun, find
from hermes.viewer.homologous import Homologous
from hermes.viewer.kept import Kept
from hermes.viewer.overview import play_entry, run_entry
from hermes.viewer.pairs import PREFERENCES, Pairs, steps, training_log
from hermes.viewer.pictures import Pictures
from hermes.viewer.rows import Rows, Stamp, stamp

CHUNK, ITEMS = 200, 100  # Rows, pairs and homologous items a file; items of a self-play a file.
KEPT = 16  # Tasks, runs with both sides and files of pairs that are kept; of a self-play all rounds.

Payload = dict[str, Any]


class Site:
    """The data of all pages. ``live``: what is read may change, so it is looked at again each time."""

    def __init__(self, paths: Sequence[Path], live: bool = True) -> None:
        self.paths, self.live = paths, live
        self.pictures = Pictures()
        self._lock = Lock()
        self._rows: Kept[Rows] = Kept(KEPT)
        self._items: Kept[Homologous] = Kept(KEPT)
        self._pairs: Kept[Pairs] = Kept(KEPT)
        self._found = self._look()

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
            if ids := _ids(self._rounds(play)):
                yield from _with_chunks(f"plays/{play.key}/items", len(ids), ITEMS)
            for one in play.history.rounds:
                if (pairs := self._round_pairs(play, one.round)) is not None:
                    yield from _with_chunks(f"plays/{play.key}/pairs-{one.round}", len(pairs), CHUNK)
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
            self._found = self._look()
        found = self._found
        return {
            "version": package_version("hermes-bench") or "",
            "root": ", ".join(map(str, self.paths)),
            "live": self.live,
            "runs": [self._run(run) for run in found.runs.values()],
            "plays": [play_entry(play, self._count_items(play)) for play in found.plays.values()],
            "problems": found.problems,
        }

    def _look(self) -> Found:
        found = find(self.paths)
        rounds = (max(len(play.runs), len(play.history.rounds)) for play in found.plays.values())
        self._items.most = self._pairs.most = max((KEPT, *rounds))
        return found

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
        """The rows of a task; None where nothing of it is there."""
        name = run.tasks[task]
        state = _state(run, name)
        return state and self._rows_of(run, name, state)

    def _rows_of(self, run: FoundRun, name: str, state: "_State") -> Rows:
        return self._rows.get((run.key, name), state, lambda: Rows(state.files, state.headline))

    def _of_rows(self, rows: Rows, chunk: str | None) -> Payload:
        if chunk is None:
            content = vars(rows.columns)
            return {"n": len(rows), "chunk": CHUNK, "stored": rows.stored, "problems": rows.problems, **content}
        numbers = _part(len(rows), CHUNK, chunk)
        return {"rows": [detail(row, rows.files, self.pictures) for row in rows.rows(numbers)]}

    def _homologous(self, run: FoundRun) -> Homologous | None:
        """Both sides of the items of a run; None where it has not both."""
        drawing = _drawing(run)
        u, g = _state(run, UNDERSTANDING), _state(run, drawing)
        if u is None or g is None:
            return None
        return self._items.get(
            run.key,
            (u, g),
            lambda: Homologous(self._rows_of(run, UNDERSTANDING, u), self._rows_of(run, drawing, g)),
        )

    def _of_items(self, items: Homologous, chunk: str | None) -> Payload:
        if chunk is None:
            columns = {"id": items.ids, "caption": items.captions, "u": items.u, "g": items.g}
            return {"n": len(items.ids), "chunk": CHUNK, **columns}
        return {"items": items.items(_part(len(items.ids), CHUNK, chunk), self.pictures)}

    def _rounds(self, play: FoundPlay) -> dict[int, Homologous]:
        """Both sides of the items of every round that still has them."""
        found = {number: self._homologous(self._found.runs[key]) for number, key in play.runs.items()}
        return {number: items for number, items in found.items() if items}

    def _of_play(self, play: FoundPlay, chunk: str | None) -> Payload | None:
        rounds = self._rounds(play)
        ids = _ids(rounds)
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

    def _round_pairs(self, play: FoundPlay, number: int) -> Pairs | None:
        """The pairs of a round, read again where their file has changed; None where there is none."""
        folder = play.history.path
        path = folder / f"round-{number}" / PREFERENCES
        if not path.is_file():
            return None
        return self._pairs.get((play.key, number), file_stamp(path), lambda: Pairs(folder, number))

    def _of_pairs(self, play: FoundPlay, number: int, chunk: str | None) -> Payload | None:
        pairs = self._round_pairs(play, number)
        if pairs is None:
            return None
        if chunk is None:
            margins = {f"margin_{side}": values for side, values in pairs.margins.items()}
            columns = {"id": pairs.ids, "caption": pairs.captions, "problems": pairs.problems}
            return {"n": len(pairs), "chunk": CHUNK, **margins, **columns}
        return {"n": len(pairs), "pairs": pairs.pairs(_part(len(pairs), CHUNK, chunk), self.pictures)}


class _State(NamedTuple):
    """Where a task's rows come from, what they show first, and the files as they are."""

    files: TaskFiles
    headline: str
    stamp: Stamp


def _state(run: FoundRun, name: str) -> _State | None:
    """The state of a task; None where nothing of it is there."""
    files = run.files(name)
    if files is None or not (files.scores.is_file() or files.store.is_dir()):
        return None
    result = run.run.results.get(name) if run.run else None
    return _State(files, result.headline if result else "", stamp(files))


def _drawing(run: FoundRun) -> str:
    """The task that draws homologous items; of several ways to draw the plain one."""
    names = [name for name in run.tasks.values() if name.partition("@")[0] == GENERATION]
    return names[0] if names and GENERATION not in names else GENERATION


def _ids(rounds: Mapping[int, Homologous]) -> list[str]:
    """The items of all rounds."""
    return list(dict.fromkeys(item for items in rounds.values() for item in items.ids))


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
