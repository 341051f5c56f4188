"""The gallery of a round's pairs: what is on the page, in which order, and that nothing on it can run or fetch."""

import base64
import io
import re
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from hermes.align.pairs.preferences import Candidate, Duel, Preference
from hermes.harness.records.store import Store
from hermes.harness.system.disk import write_json, write_jsonl
from hermes.harness.system.errors import HermesError
from hermes.leaderboards.gallery import gallery_html

HOSTILE = "</span></p><script>document.title = 'owned'</script><img src=x onerror=\"alert('1')\"> & <b>bold</b>"


class Page(HTMLParser):
    """Tags with their attributes, and all text, as a browser would see them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.said = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.said += data if self.open[-1:] != ["style"] else ""

    def images(self) -> list[Image.Image]:
        found: list[Image.Image] = []
        for tag, attributes in self.tags:
            if tag == "img":
                kind, _, data = str(attributes["src"]).partition(";base64,")
                assert kind in ("data:image/png", "data:image/jpeg")
                found.append(Image.open(io.BytesIO(base64.b64decode(data, validate=True))))
        return found


def keep(folder: Path, shade: int, size: int = 8) -> str:
    return Store(folder).keep_images([Image.new("RGB", (size, size), (shade, 0, 0))])[0]


def captions(item: str, texts: tuple[str, str], scores: tuple[float, float]) -> Duel:
    winner, loser = (
        Candidate(item_id=item, side="und", round=1, index=0, seed=0, score=score, text=text)
        for text, score in zip(texts, scores, strict=True)
    )
    return Duel(winner=winner, loser=loser)


def images(item: str, digests: tuple[str, str], scores: tuple[float, float]) -> Duel:
    winner, loser = (
        Candidate(item_id=item, side="gen", round=1, index=0, seed=0, score=score, image=digest)
        for digest, score in zip(digests, scores, strict=True)
    )
    return Duel(winner=winner, loser=loser)


def pair(folder: Path, item: str, und: Duel | None = None, gen: Duel | None = None, caption: str = "") -> Preference:
    real = keep(folder, 250)
    return Preference(
        item_id=item, round=1, image=real, caption=caption or f"about {item}", prompt="caption?", und=und, gen=gen
    )


def made(folder: Path, pairs: Sequence[Preference], drops: dict[str, int] | None = None) -> Path:
    home = folder / "my-play" / "round-1"
    (folder / "media").mkdir(exist_ok=True)
    write_jsonl(home / "preferences.jsonl", pairs)
    write_json(home / "drops.json", drops or {})
    return home


def three(folder: Path) -> list[Preference]:
    best, worst = keep(folder, 10), keep(folder, 20)
    return [
        pair(
            folder,
            "z",
            captions("z", ("good one", "bad one"), (0.75, 0.25)),
            images("z", (best, worst), (1.0, 0.5)),
        ),
        pair(folder, "b", captions("b", ("better", ""), (0.875, 0.75))),
        pair(folder, "a", None, images("a", (worst, best), (0.9, 0.15))),
    ]


def test_every_pair_is_shown_in_the_rounds_order(tmp_path: Path) -> None:
    page = Page(gallery_html(made(tmp_path, three(tmp_path)), tmp_path / "media"))
    assert "Preference pairs of my-play, round 1" in page.said
    assert "3 items with a pair: 2 of captions, 2 of images" in page.said
    assert "Pairs: all 3" in page.said
    cards = page.said.split("Pairs: all 3")[1]
    wanted = (
        *("about z", "item 1: z", "margin 0.500", "good one", "winner 0.750", "bad one", "loser 0.250"),
        *("margin 0.500", "winner 1.000", "loser 0.500"),
        *("about b", "item 2: b", "margin 0.125", "better", "(empty)", "loser 0.750", "Images: no pair"),
        *("about a", "item 3: a", "Captions: no pair", "margin 0.750", "winner 0.900", "loser 0.150"),
    )
    place = 0
    for text in wanted:
        place = cards.index(text, place) + len(text)


def test_the_images_are_in_the_page(tmp_path: Path) -> None:
    page = Page(gallery_html(made(tmp_path, three(tmp_path)), tmp_path / "media"))
    reds = [image.convert("RGB").getpixel((0, 0)) for image in page.images()]
    assert reds == [(red, 0, 0) for red in (250, 10, 20, 250, 250, 20, 10)]
    assert [image.size for image in page.images()] == [(8, 8)] * 7
    won = [attributes for tag, attributes in page.tags if tag == "figure" and attributes["class"] == "won"]
    assert len(won) == 2


def test_only_the_first_pairs_are_shown(tmp_path: Path) -> None:
    page = Page(gallery_html(made(tmp_path, three(tmp_path)), tmp_path / "media", limit=1))
    assert "Pairs: first 1 of 3" in page.said
    assert "about z" in page.said
    assert "about b" not in page.said
    assert "3 items with a pair: 2 of captions, 2 of images" in page.said


def test_margins_of_all_pairs(tmp_path: Path) -> None:
    scores = [(0.5, 0.4), (0.5, 0.3), (0.8, 0.5), (0.9, 0.5), (1.0, 0.2)]
    pairs = [pair(tmp_path, str(n), captions(str(n), ("a", "b"), given)) for n, given in enumerate(scores)]
    text = gallery_html(made(tmp_path, pairs[::-1]), tmp_path / "media", limit=0)
    rows = [re.findall(r"<td[^>]*>([^<]*)", row) for row in re.findall(r"<tr>(.*?)</tr>", text)]
    assert rows[1:] == [["captions", "5", "0.740", "0.380", "0.100", "0.200", "0.300", "0.400", "0.800"]]
    text = gallery_html(made(tmp_path, pairs[1:3]), tmp_path / "media")
    assert [row[4:] for row in (re.findall(r"<td[^>]*>([^<]*)", text),)] == [
        ["0.200", "0.225", "0.250", "0.275", "0.300"]
    ]
    text = gallery_html(made(tmp_path, pairs[:1]), tmp_path / "media")
    assert re.findall(r"<td[^>]*>([^<]*)", text)[4:] == ["0.100"] * 5


def test_drops_are_counted_and_explained(tmp_path: Path) -> None:
    drops = {"gen: threshold": 7, "und: tie": 2, "unpaired": 9, "candidate errors": 3, "und: <new>": 1}
    said = Page(gallery_html(made(tmp_path, three(tmp_path), drops), tmp_path / "media")).said
    assert "gen: threshold7images: the best scores too low to win" in said
    assert "und: tie2captions: best and worst score alike, or are the same" in said
    assert "unpaired9items left out" in said
    assert "candidate errors3captions and images that could not be made or judged" in said
    assert "und: <new>1captions: <new>" in said
    assert "What gave no pair" not in Page(gallery_html(made(tmp_path, []), tmp_path / "media")).said


def test_text_of_models_and_files_stays_text(tmp_path: Path) -> None:
    sound = Page(gallery_html(made(tmp_path, three(tmp_path), {"x": 1}), tmp_path / "media"))
    first, *others = three(tmp_path)
    und = captions("z", (HOSTILE, f"{HOSTILE}\n\u2028more"), (0.75, 0.25))
    first = first.model_copy(update={"item_id": HOSTILE, "caption": HOSTILE, "und": und})
    page = Page(gallery_html(made(tmp_path, [first, *others], {HOSTILE: 1}), tmp_path / "media"))
    assert page.tags == sound.tags
    assert page.said.count(HOSTILE) == 6


def test_the_page_needs_nothing_else(tmp_path: Path) -> None:
    text = gallery_html(made(tmp_path, three(tmp_path)), tmp_path / "media")
    assert "http" not in text
    assert "url(" not in text
    page = Page(text)
    assert not page.open
    assert not {"script", "link", "iframe", "object"} & {tag for tag, _ in page.tags}


def test_large_images_are_shrunk(tmp_path: Path) -> None:
    noise = Image.effect_noise((900, 600), 90).convert("RGB")
    (large,) = Store(tmp_path).keep_images([noise])
    gen = images("x", (large, keep(tmp_path, 1, size=256)), (1.0, 0.0))
    text = gallery_html(made(tmp_path, [pair(tmp_path, "x", None, gen)]), tmp_path / "media")
    _, shrunk, kept = Page(text).images()
    assert (shrunk.size, shrunk.format, kept.size, kept.format) == ((256, 171), "JPEG", (256, 256), "PNG")
    assert len(text) < 100_000


def test_an_image_that_is_not_there_is_shown_as_such(tmp_path: Path) -> None:
    home = made(tmp_path, three(tmp_path))
    (tmp_path / "media" / f"{keep(tmp_path, 10)}.png").write_bytes(b"torn")
    (tmp_path / "media" / f"{keep(tmp_path, 20)}.png").unlink()
    page = Page(gallery_html(home, tmp_path / "media"))
    assert page.said.count("image not found") == 4
    assert len(page.images()) == 3


def test_a_round_without_pairs(tmp_path: Path) -> None:
    said = Page(gallery_html(made(tmp_path, [], {"gen: tie": 4}), tmp_path / "media")).said
    assert "0 items with a pair: 0 of captions, 0 of images" in said
    assert "Pairs: all 0" in said
    assert "Margins" not in said


def test_the_page_is_the_same_each_time(tmp_path: Path) -> None:
    home = made(tmp_path, three(tmp_path), {"gen: tie": 1})
    assert gallery_html(home, tmp_path / "media") == gallery_html(home, tmp_path / "media")


def test_what_is_missing_or_torn_is_one_line(tmp_path: Path) -> None:
    home, media = made(tmp_path, three(tmp_path)), tmp_path / "media"
    with pytest.raises(HermesError, match=r"media2 is no folder; give the folder of the self-play's images"):
        gallery_html(home, tmp_path / "media2")
    with pytest.raises(HermesError, match=r"round-0/preferences\.jsonl cannot be read .*; give the folder of a round"):
        gallery_html(home.parent / "round-0", media)
    write_json(home / "drops.json", {"gen: tie": "many"})
    with pytest.raises(HermesError, match=r"drops\.json: 'gen: tie' is no count"):
        gallery_html(home, media)
    (home / "drops.json").unlink()
    with pytest.raises(HermesError, match=r"drops\.json cannot be read"):
        gallery_html(home, media)
    whole = (home / "preferences.jsonl").read_text()
    (home / "preferences.jsonl").write_text(whole[:-9])
    with pytest.raises(HermesError, match=r"preferences\.jsonl: line 3 is no preference"):
        gallery_html(home, media)


def test_the_plan_stands_below_the_image_that_was_drawn_from_it(tmp_path: Path) -> None:
    duel = images("a", (keep(tmp_path, 10), keep(tmp_path, 20)), (1.0, 0.5))
    planned = duel.model_copy(update={"winner": duel.winner.model_copy(update={"plan": "a <large> circle"})})
    html = gallery_html(made(tmp_path, [pair(tmp_path, "a", None, planned)]), tmp_path / "media")
    assert "<large>" not in html
    said = Page(html).said
    assert said.count("planned: a <large> circle") == 1
    assert said.index("winner 1.000") < said.index("planned:") < said.index("loser 0.500")
