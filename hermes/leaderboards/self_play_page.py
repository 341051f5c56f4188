"""The page of one self-play: its curves, what was drawn before and after, and links to pairs and evaluations."""

from collections.abc import Iterator

from hermes.leaderboards import html, pictures, plots
from hermes.leaderboards.drawn import before_and_after
from hermes.leaderboards.parts import Section, document, folded_table, notes
from hermes.leaderboards.plots import Series
from hermes.leaderboards.read import History
from hermes.leaderboards.self_play_tables import self_play_tables
from hermes.leaderboards.tables import spelled
from hermes.leaderboards.titles import size

PAGES = {"pairs.html": "pairs", "evaluation/report.html": "evaluation"}
"""What a round's folder has to look at, and what it is called."""


def self_play_page(heading: str, history: History) -> str:
    """The page as HTML that needs nothing else; its links lead to pages below its folder."""
    rounds, *others = self_play_tables(history)
    sections = [
        Section("curves", "Curves", _curves(history)),
        Section("rounds", rounds.title, html.table(rounds, intervals=True, heading=False) + _links(history)),
        Section("before-after", "Before and after", _before_and_after(history)),
        *(folded_table(table, f"table-{number}") for number, table in enumerate(others)),
    ]
    return document(heading, _facts(history), sections, pictures.STYLE)


def _facts(history: History) -> Iterator[tuple[str, str]]:
    first, last = history.rounds[0], history.rounds[-1]
    parameters = f", {size(history.model.parameters)} parameters" if history.model.parameters else ""
    yield "Model", history.model.name + parameters
    yield "Objective", history.name if history.name == history.objective else f"{history.name} ({history.objective})"
    yield "Rounds", str(last.round)
    if first.gap and last.gap:
        yield "Gap", f"{spelled(first.gap, 3, sign=True)} before, {spelled(last.gap, 3, sign=True)} after"
    elif history.undefined:
        yield "Gap", f"undefined, as the model {history.undefined}"
    yield "Seed", str(history.seed)
    yield "Self-play", history.align_id


def _curves(history: History) -> str:
    numbers = [entry.round for entry in history.rounds]
    sides = {"u": "U", "g": "G", "gap": "U - G"}
    series = {
        side: Series(side, name, [metric for metric in found if metric])
        for side, name in sides.items()
        if all(found := [getattr(entry, side) for entry in history.rounds])
    }
    panels = plots.panel("Accuracy", numbers, [series[side] for side in "ug" if side in series])
    said = "With 95 % intervals."
    if "gap" in series:
        panels += plots.panel("Gap", numbers, [series["gap"]], zero=True)
        said += " A gap nearer to 0 is better."
    return f'<div class="panels">{panels}</div>\n<p>{said}</p>\n'


def _links(history: History) -> str:
    """To the pages of each round, as far as they are there."""
    lines = []
    for number in (entry.round for entry in history.rounds):
        home = history.path / f"round-{number}"
        found = [f'<a href="{home.name}/{page}">{name}</a>' for page, name in PAGES.items() if (home / page).is_file()]
        if found:
            lines.append(f"<li>{'base model' if number == 0 else f'round {number}'}: {', '.join(found)}</li>")
    return f'<ul class="links">{"".join(lines)}</ul>\n' if lines else ""


def _before_and_after(history: History) -> str:
    found = before_and_after(history)
    if not any(found.values()):
        return ""
    last = history.rounds[-1].round
    rule = (
        f"The same items drawn by the base model and by the model of round {last}: those whose score rose most, those "
        "whose score fell most, and a random pick. The align id seeds the pick and breaks ties. The number is the "
        "score, 0 to 1."
    )
    missing = [
        f"No item {kind.split()[0].lower()}." for kind, members in found.items() if kind != "Random" and not members
    ]
    return notes([rule, *missing]) + pictures.kinds(found, ("base", f"round {last}"))
