"""A comparison of runs as tables, and as a page that shows the pictures of what flipped."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby

from hermes.harness.records.images import ImageHandle
from hermes.harness.system.errors import ImageError
from hermes.leaderboards import html
from hermes.leaderboards.answers import Answer
from hermes.leaderboards.comparing import Comparison, Moved
from hermes.leaderboards.flips import Flip
from hermes.leaderboards.gallery import data_uri
from hermes.leaderboards.ranking import APART, UNPAIRED, is_beyond
from hermes.leaderboards.tables import Cell, Column, Table, text_column, without_empty
from hermes.leaderboards.titles import title

LONGEST = 300  # So many characters of a prompt or an answer are shown in tables.
QUESTIONS = "Of a picture those questions are shown to which the replies differ, and the replies in their order."
STYLE = """
.flip { border: 1px solid var(--line); border-radius: .6rem; padding: .8rem 1rem; margin: .8rem 0; }
.flip h3 { font-size: .95rem; font-weight: 600; margin: 0 0 .2rem; overflow-wrap: anywhere; }
.flip .id { color: var(--soft); font-size: .8rem; margin: 0 0 .6rem; overflow-wrap: anywhere; }
.flip section { margin-top: .8rem; }
.sides { display: grid; grid-template-columns: repeat(auto-fit, minmax(14rem, 1fr)); gap: .8rem 1.5rem; }
.sides div { overflow-wrap: anywhere; white-space: pre-wrap; padding-left: .7rem; border-left: 3px solid var(--line); }
.sides .won { border-color: var(--best); }
.sides h4 { font-size: .8rem; font-weight: 600; color: var(--soft); margin: 0 0 .3rem; }
.sides img { display: block; max-width: 12rem; min-width: 6rem; border-radius: .3rem; margin-bottom: .4rem; }
.sides small { display: block; color: var(--soft); }
"""


def tables(found: Comparison, every: bool = True, samples: int = 5) -> list[Table]:
    """For each run its differences from the base, those of its categories, and the samples that flipped.

    The base is called A, the others B and so on. ``every`` category, or those alone that differ by more than their
    interval; ``samples`` of each benchmark, 0 shows none.
    """
    made = []
    for letter, name in _lettered(found):
        mine = [one for one in found.moved if one.run == name]
        made.append(_headlines(found, letter, name, [one for one in mine if not one.category]))
        made.append(_categories(letter, [one for one in mine if one.category], every))
        made += [_flips(letter, task, flips, samples) for task, flips in _by_task(found.flips, name) if samples]
    return [without_empty(table) for table in made if table.rows]


def page(found: Comparison, samples: int = 20) -> str:
    """One HTML page that needs nothing else: all differences, and of each benchmark so many samples that flipped."""
    parts = [html.table(table) for table in tables(found, every=True, samples=0)]
    for letter, name in _lettered(found):
        for task, flips in _by_task(found.flips, name) if samples else ():
            heading = f"{title(task)}: flipped from A to {letter}"
            cards = "".join(_card(letter, flip) for flip in flips[:samples])
            summary = html.escape(_summary(letter, flips, samples))
            parts.append(f"<section>\n<h2>{html.escape(heading)}</h2>\n<p>{summary}</p>\n{cards}</section>\n")
    return html.page("Comparison", "".join(parts), STYLE)


def as_json(found: Comparison) -> str:
    """All differences and all samples that flipped."""
    parts = {"differences": found.differences, "flipped": found.flipped}
    content = {name: json.loads(part.to_json(orient="records")) for name, part in parts.items()}
    alone = {name: {"base": ours, "run": theirs} for name, (ours, theirs) in found.alone.items()}
    return json.dumps({"base": found.base, "runs": found.runs, "alone": alone, **content}, indent=2) + "\n"


def _lettered(found: Comparison) -> Iterator[tuple[str, str]]:
    return ((chr(ord("B") + number), name) for number, name in enumerate(found.runs))


def _headlines(found: Comparison, letter: str, name: str, moved: Sequence[Moved]) -> Table:
    table = _differences(f"{letter} less A", letter, moved)
    ids = {
        name: name if f"({run.run_id})" in name else f"{name} ({run.run_id})"
        for name, run in zip((found.base, *found.runs), found.compared, strict=True)
    }
    who = f"A: {ids[found.base]}. {letter}: {ids[name]}."
    reasons = [f"{one.title}: {one.why_not}." for one in moved if one.why_not]
    alone = [
        f"Only {called} has {', '.join(map(title, tasks))}."
        for called, tasks in (("A", found.alone[name][0]), (letter, found.alone[name][1]))
        if tasks
    ]
    notes = (*([f"{APART}: not comparable."] if reasons else []), *reasons, *alone)
    return replace(table, caption=f"{who} {table.caption}", notes=notes)


def _categories(letter: str, moved: Sequence[Moved], every: bool) -> Table:
    shown = [one for one in moved if every or (one.difference and is_beyond(one.difference.metric))]
    table = _differences(f"{letter} less A, by category", letter, shown)
    if every:
        return table
    chance = f"about {0.05 * len(moved):.0f} would be by chance alone"
    note = f"{len(shown)} of {len(moved)} categories differ by more than their interval and are shown; {chance}."
    return replace(table, notes=(note,))


def _differences(heading: str, letter: str, moved: Sequence[Moved]) -> Table:
    rows = []
    unpaired = any(one.difference and not one.difference.paired for one in moved)
    for one in moved:
        scale = 100.0 if one.fraction else 1.0
        label = one.title if one.category or not one.metric else f"{one.title}, {one.metric}"
        rows.append(
            (Cell(text=label), *(Cell(scale * side.value) for side in (one.base, one.value)), *_moved(one, scale))
        )
    columns = (Column("A"), Column(letter), Column(f"{letter} - A", signed=True), Column("Items", 0, None))
    return Table(
        title=heading,
        columns=(text_column("Number"), *columns),
        rows=tuple(rows),
        caption="Fractions in percent; differences with 95 % intervals, paired item by item, bold beyond them.",
        sources=(f"Where no items are given: {UNPAIRED[0].lower()}{UNPAIRED[1:]}.",) if unpaired else (),
    )


def _moved(one: Moved, scale: float) -> tuple[Cell, Cell]:
    """The difference, and over how many items it was paired."""
    if one.why_not or one.difference is None:
        return Cell(text=APART if one.why_not else ""), Cell()
    metric = one.difference.metric
    low, high = (None if bound is None else scale * bound for bound in (metric.low, metric.high))
    items = Cell(float(metric.groups)) if one.difference.paired else Cell()
    return Cell(scale * metric.value, low=low, high=high, best=is_beyond(metric)), items


def _flips(letter: str, task: str, flips: Sequence[Flip], samples: int) -> Table:
    rows = []
    for flip in flips[:samples]:
        texts = (f"{flip.sample}" + (f", {flip.index}" if flip.index else ""), flip.prompt, flip.target)
        rows.append(tuple(Cell(text=_short(text)) for text in (*texts, said(flip.before), said(flip.after))))
    return Table(
        title=f"{title(task)}: flipped from A to {letter}",
        columns=tuple(map(text_column, ("Sample", "Prompt", "Right answer", "A", letter))),
        rows=tuple(rows),
        caption=_summary(letter, flips, samples) + (f" {QUESTIONS}" if any(flip.asked for flip in flips) else ""),
    )


def said(answer: Answer) -> str:
    """What one side answered and how much it is worth; of a picture why, too."""
    worth = "right" if answer.worth == 1 else "wrong" if answer.worth == 0 else f"{answer.worth:.2f}"
    why = f"({answer.reason})" if answer.picture and answer.reason else ""
    return ": ".join(filter(None, (worth, " ".join(filter(None, (answer.text, why))))))


def _summary(letter: str, flips: Sequence[Flip], samples: int) -> str:
    gained = sum(flip.is_gain for flip in flips)
    shown = f", {samples} of {len(flips)} shown" if len(flips) > samples else ""
    return f"{gained} better in {letter}, {len(flips) - gained} better in A{shown}."


def _by_task(flips: Sequence[Flip], name: str) -> Iterator[tuple[str, list[Flip]]]:
    """The flips of one run by task, gains and losses in turn, so that the first ones show both."""
    for task, group in groupby((flip for flip in flips if flip.run == name), key=lambda flip: flip.task):
        found = list(group)
        gains, losses = ([flip for flip in found if flip.is_gain is gain] for gain in (True, False))
        longest = max(len(gains), len(losses))
        yield task, [side[place] for place in range(longest) for side in (gains, losses) if place < len(side)]


def _card(letter: str, flip: Flip) -> str:
    heading = flip.prompt or f"Sample {flip.sample}"
    known = [
        f"sample {flip.sample}, answer {flip.index}",
        flip.category,
        f"right answer: {flip.target}" if flip.target and not flip.asked else "",
    ]
    sides = "".join(
        f'<div class="{"won" if mine.worth > other.worth else ""}"><h4>{html.escape(who)}</h4>'
        f"{_shown(mine, '' if flip.asked else mine.text)}</div>"
        for who, mine, other in (("A", flip.before, flip.after), (letter, flip.after, flip.before))
    )
    below = html.escape("; ".join(filter(None, known)))
    return (
        f'<article class="flip">\n<h3>{html.escape(heading)}</h3>\n<p class="id">{below}</p>\n'
        f'<div class="sides">{sides}</div>\n{_asked(letter, flip) if flip.asked else ""}</article>\n'
    )


def _asked(letter: str, flip: Flip) -> str:
    columns = tuple(map(text_column, ("Question", "Right answer", "A", letter)))
    rows = tuple(tuple(Cell(text=text) for text in one) for one in flip.asked)
    return html.table(Table("Replies that differ", columns, rows), heading=False)


def _shown(answer: Answer, text: str) -> str:
    picture = ""
    if answer.picture:
        try:
            picture = f'<img alt="what was drawn" src="{data_uri(ImageHandle(answer.picture).open())}">'
        except ImageError:
            picture = "<small>picture not found</small>"
    reason = f"<small>{html.escape(answer.reason)}</small>" if answer.reason else ""
    return f"{picture}{html.escape(text)}<small>worth {answer.worth:.2f}</small>{reason}"


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."
