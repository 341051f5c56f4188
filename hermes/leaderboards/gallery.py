"""The preference pairs of a self-play's round as one HTML page: images, captions, scores and margins to look at."""

import base64
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean

import numpy as np
from PIL import Image
from pydantic import BaseModel, ConfigDict, ValidationError

from hermes.harness.records.images import ImageHandle, png_bytes
from hermes.harness.system.disk import read_json
from hermes.harness.system.errors import HermesError, ImageError
from hermes.harness.system.failures import file_error
from hermes.leaderboards import html
from hermes.leaderboards.tables import Cell, Column, Table, text_column
from hermes.leaderboards.titles import counted

PIXELS = 256  # The longest side of an embedded image, twice what is shown, for sharp screens.
JPEG_QUALITY = 85
QUANTILES = {"Min": 0.0, "25 %": 0.25, "Median": 0.5, "75 %": 0.75, "Max": 1.0}
SIDES = {"und": "captions", "gen": "images"}
FAILED = "candidate errors"
REASONS = {
    "tie": "best and worst score alike, or are the same",
    "threshold": "the best scores too low to win",
    "inverted": "the winner scores below the loser",
    "no candidates": "nothing to choose from",
    "differ": "no two differ as --differ says and are alike in all else",
    "no likelihood": "the model gives pictures no likelihood",
    "other item": "an image belongs to another item",
    "unpaired": "items left out, because the objective or the pairing needs the side that they lack",
    FAILED: "captions and images that could not be made or judged",
}
STYLE = """
.pair { border: 1px solid var(--line); border-radius: .6rem; padding: 1rem; margin: 1rem 0; }
.pair h3 { font-size: 1rem; font-weight: 600; margin: 0; }
.pair .id { color: var(--soft); font-size: .8rem; margin: 0 0 .8rem; overflow-wrap: anywhere; }
.sides { display: grid; grid-template-columns: 8rem minmax(14rem, 1fr) 16.75rem; gap: 1.5rem; align-items: start; }
.sides h4 { font-size: .8rem; font-weight: 600; color: var(--soft); margin: 0 0 .4rem; }
.sides h4 b { font-variant-numeric: tabular-nums; color: CanvasText; }
.images { display: flex; gap: .75rem; }
figure { margin: 0; width: 8rem; }
figure img, figure .none { display: block; width: 8rem; height: 8rem; border-radius: .3rem; background: var(--shade); }
figure img { object-fit: contain; }
figure img.small { image-rendering: pixelated; }
figure .none { color: var(--soft); font-size: .8rem; line-height: 8rem; text-align: center; }
figcaption, .said { font-size: .9rem; }
figcaption { margin-top: .4rem; }
.plan { color: var(--soft); font-size: .8rem; }
.said { margin: 0 0 .6rem; padding-left: .7rem; border-left: 3px solid var(--line); color: inherit; }
.won.said { border-color: var(--best); }
.won img { box-shadow: 0 0 0 3px var(--best); }
.text { unicode-bidi: isolate; white-space: pre-wrap; overflow-wrap: anywhere; }
.score { color: var(--soft); font-variant-numeric: tabular-nums; }
.won .score { color: var(--best); font-weight: 600; }
@media (max-width: 50rem) { .sides { grid-template-columns: 1fr; } }
"""


class _Read(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class _Candidate(_Read):
    score: float
    text: str | None = None
    image: str | None = None
    plan: str | None = None
    prompt: str | None = None
    again: bool = False


class _Duel(_Read):
    winner: _Candidate
    loser: _Candidate

    @property
    def margin(self) -> float | None:
        """None where the winner stands for itself: trained on alone, beside nothing that was worse."""
        return None if self.winner == self.loser else self.winner.score - self.loser.score


class _Pair(_Read):
    item_id: str
    image: str
    caption: str
    und: _Duel | None = None
    gen: _Duel | None = None


def gallery_html(round_dir: Path, media: Path, limit: int = 40) -> str:
    """A page that needs nothing else: how many pairs, their margins, what was dropped, and the first ``limit`` pairs.

    ``round_dir`` is a round's folder, ``media`` that of the self-play's images. An image that is not there is shown as
    such. Raises HermesError where the round holds no preferences, for torn files, and where ``media`` is no folder.
    """
    pairs = _pairs(round_dir / "preferences.jsonl")
    if not media.is_dir():
        raise HermesError(f"{media} is no folder; give the folder of the self-play's images")
    home = round_dir.resolve()
    title = f"Preference pairs of {home.parent.name}, {home.name.replace('-', ' ')}"
    shown = pairs[: max(limit, 0)]
    sides = (f"{sum(map(bool, duels))} of {name}" for name, duels in _by_side(pairs).items())
    items = len({pair.item_id for pair in pairs})
    summary = f"{counted(items, 'item')} with {'pairs' if items < len(pairs) else 'a pair'}: {', '.join(sides)}"
    count = f"first {len(shown)} of {len(pairs)}" if len(shown) < len(pairs) else f"all {len(pairs)}"
    cards = "".join(_card(number, pair, media) for number, pair in enumerate(shown, 1))
    tables = "".join(html.table(table) for table in (_margins(pairs), _drops(round_dir / "drops.json")) if table.rows)
    body = f"<p>{summary}</p>\n{tables}<section>\n<h2>Pairs: {count}</h2>\n{cards}</section>\n"
    return html.page(title, body, STYLE)


def _pairs(path: Path) -> list[_Pair]:
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise file_error(path, error, "give the folder of a round after 0") from None
    pairs = []
    for number, line in enumerate(lines, 1):
        try:
            pairs.append(_Pair.model_validate_json(line))
        except ValidationError:
            raise HermesError(f"{path}: line {number} is no preference; remove the round's folder") from None
    return pairs


def _margins(pairs: Sequence[_Pair]) -> Table:
    """Scores and margins of both sides."""
    rows = []
    for name, duels in _by_side(pairs).items():
        there = [duel for duel in duels if duel and duel.margin is not None]
        if there:
            margins = np.quantile([duel.margin or 0.0 for duel in there], list(QUANTILES.values()))
            means = (fmean(duel.winner.score for duel in there), fmean(duel.loser.score for duel in there))
            rows.append((Cell(text=name), Cell(len(there)), *(Cell(float(value)) for value in (*means, *margins))))
    numbers = ("Mean winner", "Mean loser", *(f"Margin {name.lower()}" for name in QUANTILES))
    columns = (text_column("Side"), Column("Pairs", 0, None), *(Column(name, 3, None) for name in numbers))
    return Table("Margins", columns, tuple(rows), "A margin is the winner's score less the loser's.")


def _by_side(pairs: Sequence[_Pair]) -> dict[str, list[_Duel | None]]:
    answers = [pair.und for pair in pairs if _asks(pair.und)]
    captions = [pair.und for pair in pairs if not _asks(pair.und)]
    return {"captions": captions, **({"answers": answers} if answers else {}), "images": [pair.gen for pair in pairs]}


def _drops(path: Path) -> Table:
    rows = []
    remedy = f"remove {path.parent} and run the same command again"
    for name, count in read_json(path, remedy).items():
        if not isinstance(count, int):
            raise HermesError(f"{path}: {name!r} is no count; {remedy}")
        rows.append((Cell(text=name), Cell(count), Cell(text=meaning(name))))
    columns = (text_column("Reason"), Column("Count", 0, None), text_column("Meaning"))
    return Table("What gave no pair", columns, tuple(rows))


def meaning(reason: str) -> str:
    """What a reason of drops.json says, in words."""
    side, _, why = reason.rpartition(": ")
    return (f"{SIDES[side]}: " if side in SIDES else "") + REASONS.get(why, why)


def _card(number: int, pair: _Pair, media: Path) -> str:
    return (
        f'<article class="pair">\n<h3>{_text(pair.caption)}</h3>\n'
        f'<p class="id">true caption of item {number}: {html.escape(pair.item_id)}</p>\n<div class="sides">\n'
        f"<div><h4>{_about(pair.und).capitalize()}</h4>{_figure(pair.image, media, _about(pair.und))}</div>\n"
        f"<div><h4>{_asked(pair.und)}{_margin(pair.und)}</h4>{''.join(_captions(pair.und))}</div>\n"
        f'<div><h4>Images{_margin(pair.gen)}</h4><div class="images">{"".join(_images(pair.gen, media))}</div></div>\n'
        "</div>\n</article>\n"
    )


def _asks(duel: _Duel | None) -> str | None:
    """The question that the texts of a pair answer, None where they are captions."""
    return duel.winner.prompt if duel else None


def _asked(duel: _Duel | None) -> str:
    question = _asks(duel)
    return f"Answers to: {_text(question)}" if question else "Captions"


def _about(duel: _Duel | None) -> str:
    """What picture the texts are about; those about one of the model's own name it."""
    return "own image" if duel and duel.winner.image else "real image"


def _margin(duel: _Duel | None) -> str:
    if duel is None:
        return ": no pair"
    return "" if duel.margin is None else f", margin <b>{duel.margin:.3f}</b>"


def _captions(duel: _Duel | None) -> Iterator[str]:
    for kind, name, one in _both(duel):
        yield f'<p class="said {kind}">{_text(one.text or "(empty)")}<br>{_score(name, one)}</p>'


def _images(duel: _Duel | None, media: Path) -> Iterator[str]:
    for kind, name, one in _both(duel):
        said = {"drawn from what is seen of it, and" if one.again else "drawn from": one.prompt, "planned": one.plan}
        more = "".join(f'<br><span class="plan">{how}: {_text(text)}</span>' for how, text in said.items() if text)
        yield _figure(one.image or "", media, name, kind, f"<figcaption>{_score(name, one)}{more}</figcaption>")


def _both(duel: _Duel | None) -> list[tuple[str, str, _Candidate]]:
    if duel is None:
        return []
    return [("won", "winner", duel.winner), *([] if duel.margin is None else [("lost", "loser", duel.loser)])]


def _text(text: str) -> str:
    return f'<span class="text">{html.escape(text.strip())}</span>'


def _score(name: str, one: _Candidate) -> str:
    return f'<span class="score">{name} {one.score:.3f}</span>'


def _figure(digest: str, media: Path, name: str, kind: str = "", below: str = "") -> str:
    try:
        picture = ImageHandle(media / f"{digest}.png").open()
    except ImageError:
        return f'<figure class="{kind}"><div class="none">image not found</div>{below}</figure>'
    small = "small" if max(picture.size) < PIXELS // 2 else ""
    return f'<figure class="{kind}"><img class="{small}" alt="{name}" src="{data_uri(picture)}">{below}</figure>'


def data_uri(picture: Image.Image) -> str:
    """Small images as they are, larger ones shrunk."""
    kind, data = "png", b""
    if max(picture.size) <= PIXELS:
        data = png_bytes(picture)
    else:
        picture.thumbnail((PIXELS, PIXELS), Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        picture.save(buffer, format="JPEG", quality=JPEG_QUALITY)
        kind, data = "jpeg", buffer.getvalue()
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
