"""What the functions of `import hermes` return: frozen records that serialise, become tables and show themselves."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pydantic import Field

from hermes.harness.records.types import Metric, Result
from hermes.harness.system.disk import json_text
from hermes.leaderboards import html
from hermes.leaderboards.guidance import way_of
from hermes.leaderboards.read import HISTORY, History, Run, read_history
from hermes.leaderboards.tables import Cell, Column, Table, text_column
from hermes.leaderboards.titles import SAME, digits, title

if TYPE_CHECKING:
    import pandas as pd

GAPS = {"homologous": "Gap over homologous items", "benchmarks": "Gap over benchmarks"}


class Evaluation(Run):
    """What `hermes.evaluate` and `hermes.score` return: all that results.json holds, and where it is.

    ``folder`` holds report.html and the stored run, None where answers were scored without one. ``asked`` answers came
    from the model, ``reused`` ones were stored before; ``seconds`` are those of each stage. A field is found by its
    name in brackets, too, as in the file: ``evaluation["results"]["pope"]``.
    """

    folder: Path | None = None
    asked: int = 0
    reused: int = 0
    seconds: dict[str, float] = Field(default_factory=dict)
    peak_memory_mb: float = 0.0

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> Self:
        """From what a run returns."""
        counts = {what: sum(getattr(one, what) for one in content.get("drawn", {}).values()) for what in COUNTS}
        return cls.model_validate({**content, **counts, "path": content["folder"] or Path()})

    def to_json(self) -> str:
        """All of it as a JSON object; a number that could not be computed is null."""
        return json_text(self.model_dump(mode="json", exclude={"path"}))

    def to_pandas(self) -> "pd.DataFrame":
        """One row for each task and metric, with interval, n and where it comes from; see `leaderboards.frame`."""
        from hermes.leaderboards.tidy import tidy

        return tidy([self])

    def _repr_html_(self) -> str:
        names = ("n", "Unparsed", "Errors")
        columns = (text_column("Benchmark"), text_column("Metric"), Column("Score", 3, None))
        rows = (*map(_row, self.results.items()), *self._gaps())
        kind = " (partial run)" if self.partial else ""
        counted = tuple(Column(name, 0, None) for name in names)
        note = f"run {self.run_id}" + (f" in {self.folder}" if self.folder else "")
        return html.table(Table(f"{self.name}{kind}", columns + counted, rows, note), intervals=True)

    def _gaps(self) -> Iterator[tuple[Cell, ...]]:
        for name, said in GAPS.items():
            if found := getattr(self.gap, name):
                yield Cell(text=said), Cell(text="U - G"), _cell(found.gap, 3), Cell(found.gap.n), Cell(), Cell()

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        yield from {"run_id": self.run_id, "model": self.name, "tasks": list(self.results)}.items()
        yield "folder", str(self.folder)


class SelfPlay(History):
    """What `hermes.align` returns: all that history.json holds, and the evaluations of its rounds.

    ``rounds[-1].gap.value`` is the last round's gap, as is ``["rounds"][-1]["gap"]["value"]``.
    """

    folder: Path

    @classmethod
    def of(cls, folder: Path) -> Self:
        """From the folder of a self-play."""
        return cls.model_validate({**dict(read_history(folder / HISTORY)), "folder": folder})

    def to_json(self) -> str:
        """All of it as a JSON object, without the evaluations, which have files of their own."""
        return json_text(self.model_dump(mode="json", exclude={"path", "evaluations"}))

    def to_pandas(self) -> "pd.DataFrame":
        """One row for each round: u, g, gap, joint, phi with 95 % intervals, g_guided with its guidance, and pairs."""
        import pandas as pd

        return pd.DataFrame([_flat(one, self._sides()) for one in self.rounds])

    def _repr_html_(self) -> str:
        titles = {"u": "U", "g": "G", "gap": "Gap (U - G)", **SAME, "g_guided": way_of(self).title}
        sides = self._sides()
        columns = (text_column("Round"), *(Column(titles[side], 3, None) for side in sides), Column("Pairs", 0, None))
        rows = tuple(
            (
                Cell(text=str(one.round) if one.round else "base"),
                *(_cell(getattr(one, side), 3) for side in sides),
                Cell(one.pairs if one.round else None),
            )
            for one in self.rounds
        )
        name = f"Self-play of {self.model.name}, {self.name}, seed {self.seed}" + " (partial)" * self.partial
        notes = (way_of(self).said,) if "g_guided" in sides and way_of(self).said else ()
        return html.table(Table(name, columns, rows, f"in {self.folder}", notes), intervals=True)

    def _sides(self) -> tuple[str, ...]:
        same = SAME if any(one.joint for one in self.rounds) else ()
        return ("u", "g", "gap", *same, *(["g_guided"] if any(one.g_guided for one in self.rounds) else []))

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        yield from {"model": self.model.name, "arm": self.name, "rounds": len(self.rounds) - 1}.items()
        yield "folder", str(self.folder)


COUNTS = ("asked", "reused")


def _row(named: tuple[str, Result]) -> tuple[Cell, ...]:
    name, result = named
    metric, counts = result.metrics.get(result.headline), result.counts
    number = _cell(metric, digits(result))
    told = title(name) + " (partial)" * result.partial
    texts = (Cell(text=told), Cell(text=f"{result.headline}, {result.unit}"))
    return (*texts, number, Cell(result.n), Cell(counts["unparsed"]), Cell(counts["error"]))


def _cell(metric: Metric | None, places: int) -> Cell:
    return Cell() if metric is None else Cell(metric.value, low=metric.low, high=metric.high, digits=places)


def _flat(one: Any, sides: tuple[str, ...]) -> dict[str, Any]:
    row: dict[str, Any] = {"round": one.round}
    for side in sides:
        metric = getattr(one, side)
        for suffix, value in (("", "value"), ("_low", "low"), ("_high", "high")):
            row[side + suffix] = getattr(metric, value) if metric else None
    if "g_guided" in sides:
        row["guidance"] = one.guidance
    return row | {"pairs": one.pairs}
