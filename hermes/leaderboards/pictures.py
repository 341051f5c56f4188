"""Pictures that a model drew, as cards of a page: prompt, plan and score below each."""

from collections.abc import Mapping, Sequence

from hermes.harness.records.images import ImageHandle
from hermes.harness.system.errors import ImageError
from hermes.harness.system.text import plain
from hermes.leaderboards import html
from hermes.leaderboards.answers import Answer
from hermes.leaderboards.drawn import Drawing
from hermes.leaderboards.gallery import PIXELS, data_uri

LONGEST = 240  # Characters of a prompt, a plan or a reason.
STYLE = """
h4 { font-size: .87rem; font-weight: 600; color: var(--soft); margin: .9rem 0 .4rem; }
.kinds { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(22rem, 100%), 1fr)); gap: 0 2rem; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(6.4rem, 1fr)); gap: 1rem .8rem; }
.pairs .cards { grid-template-columns: repeat(auto-fill, minmax(15rem, 1fr)); }
.card { min-width: 0; font-size: .87rem; overflow-wrap: anywhere; }
.card .sides { display: flex; gap: .6rem; }
.card figure { margin: 0; flex: 1; min-width: 0; max-width: 12rem; }
.card img, .card .none { display: block; width: 100%; aspect-ratio: 1; border-radius: .35rem; }
.card img { object-fit: contain; background: var(--track); }
.card img.tiny { image-rendering: pixelated; }
.card .none { background: var(--track); color: var(--soft); display: grid; place-items: center; }
.card b { font-variant-numeric: tabular-nums; }
.card figcaption, .card p { margin: .3rem 0 0; font-size: inherit; color: inherit; }
.card .more { font-size: .8rem; }
"""


def kinds(found: Mapping[str, Sequence[Drawing]], sides: Sequence[str] = ("",), level: int = 3) -> str:
    """The drawings of each kind under its name, a heading of this level; ``sides`` name the pictures of one drawing."""
    groups = "".join(
        f"<div><h{level}>{html.escape(kind)}</h{level}>\n"
        f'<div class="cards">{"".join(_card(one, sides) for one in members)}</div></div>\n'
        for kind, members in found.items()
        if members
    )
    return f'<div class="{"pairs" if len(sides) > 1 else "kinds"}">\n{groups}</div>\n'


def _card(one: Drawing, sides: Sequence[str]) -> str:
    """Words about one picture stand below its prompt, those about one of two below that picture."""
    prompt = f"<p>{_short(one.prompt or f'sample {one.sample}')}</p>"
    alone, told = len(sides) == 1, [_told(answer) for answer in one.answers]
    figures = "".join(
        f"<figure>{_picture(answer)}<figcaption>{html.escape(side)} <b>{answer.worth:.2f}</b>{'' if alone else words}"
        "</figcaption></figure>"
        for answer, side, words in zip(one.answers, sides, told, strict=True)
    )
    below = prompt + (told[0] if alone else "")
    return f'<article class="card"><div class="sides">{figures}</div>{below}</article>\n'


def _told(answer: Answer) -> str:
    plan = f'<span class="more">planned: {_short(answer.plan)}</span>' if answer.plan else ""
    return plan + (f'<span class="more">{_short(answer.reason)}</span>' if answer.reason else "")


def _picture(answer: Answer) -> str:
    if answer.picture is None:
        return '<div class="none">nothing was drawn</div>'
    try:
        picture = ImageHandle(answer.picture).open()
    except ImageError:
        return '<div class="none">picture not found</div>'
    tiny = ' class="tiny"' if max(picture.size) < PIXELS // 2 else ""
    return f'<img{tiny} alt="what was drawn" src="{data_uri(picture)}">'


def _short(text: str) -> str:
    found = plain(text)
    return html.escape(found if len(found) <= LONGEST else f"{found[: LONGEST - 3]}...")
