"""A made-up folder of viewer pages with data of every kind that a run can hold, hostile and odd texts among it."""

import json
import random
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

import hermes

PAGES = Path(hermes.__file__).parent / "viewer" / "pages"
CHUNK = 200
SEVERAL = 25  # The homologous item that was drawn several times.
UNJUDGED = 27  # The one of which a question was not judged.
HOSTILE = "<script>document.title = 'owned'</script><img src=x onerror=\"document.title = 'owned'\">"
RTL = "כן, זה נכון (yes) — 3 חתולים"
LONG = "A very long answer that goes on and on, without saying anything new. " * 60
UNBROKEN = "supercalifragilistic" * 30
COLORS = ("red", "green", "blue", "orange", "purple", "teal")
SHAPES = ("circle", "square", "triangle")
SUBJECTS = ("existence", "count", "position", "color")

Json = dict[str, Any]


class Site:
    """Writes data files as the viewer does: data/NAME.js calls hermesData(NAME, ...)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.copytree(PAGES, folder)
        self.painted: set[str] = set()

    def write(self, name: str, content: Json) -> None:
        path = self.folder / "data" / f"{name}.js"
        path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(content, ensure_ascii=False).replace("<", "\\u003c").replace("\u2028", "\\u2028")
        path.write_text(f"hermesData({json.dumps(name)}, {text});\n", encoding="utf-8")

    def chunks(self, name: str, field: str, entries: Sequence[Json], size: int = CHUNK) -> None:
        for number, start in enumerate(range(0, len(entries), size)):
            self.write(f"{name}-{number}", {field: entries[start : start + size]})

    def picture(self, name: str, size: tuple[int, int] = (48, 48), shapes: int = 2) -> Json:
        """A picture of some shapes; one that was painted already is used again."""
        if name not in self.painted:
            self.painted.add(name)
            path = self.folder / "media" / f"{name}.png"
            path.parent.mkdir(exist_ok=True)
            chance = random.Random(name)
            image = Image.new("RGB", size, "white")
            pen = ImageDraw.Draw(image)
            for _ in range(shapes):
                side = min(size) // 3
                left, top = chance.randrange(size[0] - side), chance.randrange(size[1] - side)
                draw = chance.choice((pen.ellipse, pen.rectangle))
                draw((left, top, left + side, top + side), fill=chance.choice(COLORS))
            image.save(path)
        return {"src": f"media/{name}.png", "width": size[0], "height": size[1]}


def site(folder: Path, big: int = 0) -> Path:
    """The whole site; ``big`` is how many samples its largest task holds. Returns its first page."""
    made = Site(folder)
    tasks = [
        asked(made, "hermes-tiny~1", "pope", "POPE", _yes_or_no, 260, "%"),
        asked(made, "hermes-tiny~1", "mmmu", "MMMU", _choices, 60, "%"),
        asked(made, "hermes-tiny~1", "gqa", "GQA", _old, 12, "%") | {"stored": False},
        asked(made, "hermes-tiny~1", "flickr30k", "Flickr30k", _captions, 40, "x100"),
        drawn(made, "hermes-tiny~1", "geneval", "GenEval", _detected, 48, "0..1"),
        drawn(made, "hermes-tiny~1", "dpg_bench", "DPG-Bench", _questioned, 40, "%"),
        *homologous(made, "hermes-tiny~1", 30),
        task("vqav2", "VQAv2", "understanding", "%", 89.6, 700),
    ]
    if big:
        tasks.append(asked(made, "hermes-tiny~1", "big", "Big", _yes_or_no, big, "%"))
    empty = [
        task("pope", "POPE", "understanding", "%", None, 0, rows=0),
        task("mmmu", "MMMU", "understanding", "%", 31.0, 300),
    ]
    made.write("runs/empty~1/pope/rows", _columns([]))
    runs = [
        run(
            "hermes-tiny~1",
            "hermes-tiny",
            "a6534fb7c7be",
            tasks,
            homologous=30,
            gap=_gap(0.973, 0.866),
            settings={"dtype": "float32"},
        ),
        run("hermes-tiny~2", "hermes-tiny", "b77c01d2e9aa", [tasks[-1]], seed=1, gap=_gap(0.91, 0.93)),
        run("empty~1", f"Modell {RTL} {HOSTILE}", "c0ffee", empty, partial=True),
        run("none~1", UNBROKEN, "d00d", [], partial=True),
    ]
    plays, games = play(made, "hermes-tiny.align-4b63")
    bare = {"key": "bare", "name": "hermes-tiny, not begun", "rounds": [], "items": None, "training": []}
    index = {
        "version": "0.1.0",
        "root": "runs",
        "live": False,
        "runs": [*runs, *games],
        "plays": [*plays, bare],
        "problems": [f"runs/broken/results.json: no JSON {HOSTILE}"],
    }
    made.write("index", index)
    return folder / "index.html"


def run(key: str, model: str, run_id: str, tasks: list[Json], **more: Any) -> Json:
    plain = {"seed": 0, "split": "test", "started": "2026-11-26T09:30:00+00:00", "partial": False, "running": False}
    plain |= {"play": None, "round": None, "homologous": None, "settings": {}, "gap": None}
    return {"key": key, "model": model, "run_id": run_id, "tasks": tasks, **plain, **more}


def task(name: str, title: str, ability: str, unit: str, value: float | None, n: int, **more: Any) -> Json:
    """A task of the index; ``rows`` is how many samples are stored."""
    spread = {"%": 2.0, "0..1": 0.02}.get(unit, 9.0)
    low, high = (None, None) if value is None else (value - spread, value + spread)
    metrics = [{"name": "overall", "value": value, "low": low, "high": high, "n": n}]
    metrics += [{"name": f"kind/{one}", "value": value, "low": low, "high": high, "n": n // 4} for one in SUBJECTS]
    counts = {"scored": n, "unparsed": 0, "error": 0}
    plain = {"key": name, "name": name, "title": title, "ability": ability, "protocol": "official", "judge": None}
    plain |= {"headline": "accuracy", "unit": unit, "value": value, "low": low, "high": high, "n": n, "n_expected": n}
    return plain | {"counts": counts, "metrics": metrics, "rows": None, "stored": True} | more


def asked(
    made: Site, run_key: str, name: str, title: str, make: Callable[[Site, int], Json], n: int, unit: str
) -> Json:
    """A task of understanding, or of generation where ``make`` draws, with its samples."""
    rows = [_sample(**make(made, number)) for number in range(n)]
    where = f"runs/{run_key}/{name}/rows"
    made.write(where, _columns(rows))
    made.chunks(where, "rows", rows)
    values = [row["values"]["accuracy"] for row in rows if row["values"]]
    mean = sum(values) / len(values) * (1.0 if unit == "0..1" else 100.0)
    counts = {status: sum(row["status"] == status for row in rows) for status in ("scored", "unparsed", "error")}
    ability = "generation" if rows[0]["drawn"] else "understanding"
    return task(name, title, ability, unit, mean, n, rows=n, counts=counts, n_expected=n)


def drawn(
    made: Site, run_key: str, name: str, title: str, make: Callable[[Site, int], Json], n: int, unit: str
) -> Json:
    return asked(made, run_key, name, title, make, n, unit) | {"judge": "oracle-1"}


def _sample(**more: Any) -> Json:
    empty = dict.fromkeys(("gold", "answer", "plan", "prediction", "error", "drawn", "judge"))
    plain = {"index": 0, "group": more["id"], "choices": [], "reason": "", "status": "scored", "values": {}, "tags": {}}
    return empty | plain | {"seconds": 0.0131, "truncated": False, "prompt_cut": False, "images": []} | more


def _columns(rows: list[Json]) -> Json:
    def short(name: str) -> list[str]:
        return [(row[name] or "")[:160] for row in rows]

    values = [row["values"].get("accuracy") for row in rows]
    return {
        "n": len(rows),
        "chunk": CHUNK,
        **{name: [row[name] for row in rows] for name in ("id", "index", "status", "group")},
        "category": [row["tags"].get("category", "") for row in rows],
        "value": values,
        "right": [None if value is None or value > 1 else int(value == 1) for value in values],
        "cut": [int(row["truncated"]) for row in rows],
        **{name: short(name) for name in ("prompt", "answer", "gold")},
    }


def _yes_or_no(made: Site, number: int) -> Json:
    """Every seventh is wrong, every thirteenth unparsed, every 29th failed; the first are odd ones."""
    category, gold = SUBJECTS[number % 4], ("yes", "no")[number % 2]
    wrong, unparsed, failed = number % 7 == 0, number % 13 == 0, number % 29 == 28
    answer = {1: HOSTILE, 2: RTL, 3: LONG, 4: UNBROKEN, 5: ""}.get(
        number, "It depends." if unparsed else gold if not wrong else "maybe not"
    )
    picture = (
        made.picture(f"real{number % 12}")
        if number % 9
        else {"missing": "the picture is not on this machine: /data/coco/val2014/" + UNBROKEN}
    )
    return {
        "id": f"{category}/{number:05d}.png",
        "group": f"{number // 2:05d}",
        "prompt": f"Is there a {COLORS[number % 6]} {SHAPES[number % 3]} in the image?\nPlease answer yes or no.",
        "gold": gold,
        "answer": None if failed else answer,
        "prediction": None if failed or unparsed else answer[:20] or None,
        "reason": "neither yes nor no at the beginning" if unparsed and not failed else "",
        "status": "error" if failed else "unparsed" if unparsed else "scored",
        "error": f"RuntimeError: out of memory <b>{number}</b>" if failed else None,
        "values": {} if failed else {"accuracy": 0.0 if wrong or unparsed else 1.0, "yes_said": float(gold == "yes")},
        "tags": {"category": category},
        "truncated": number % 11 == 0,
        "images": [picture],
    }


def _old(made: Site, number: int) -> Json:
    """A sample of an older version, which kept answers only."""
    return {
        "id": str(number),
        "prompt": None,
        "answer": "yes",
        "prediction": "yes",
        "seconds": None,
        "values": {"accuracy": float(number % 2)},
    }


def _choices(made: Site, number: int) -> Json:
    names = ["a red circle", "two squares", RTL, "<b>none</b> of these"]
    gold, said = "ABCD"[number % 4], "ABCD"[(number * number) % 4]
    pictures = [made.picture(f"photo{number % 3}", (640, 420), 7), made.picture(f"real{number % 12}")]
    return {
        "id": f"validation_Art_{number}",
        "prompt": "Look at <image 1> and <image 2>. Which of these do both of them show?\nAnswer with the letter.",
        "choices": names,
        "gold": gold,
        "answer": f"({said}) because I see it",
        "prediction": said,
        "values": {"accuracy": float(gold == said)},
        "tags": {"category": ("Art", "Biology", "Music")[number % 3], "type": "multiple-choice"},
        "images": pictures,
    }


def _captions(made: Site, number: int) -> Json:
    said = f"a {COLORS[number % 6]} circle beside a square"
    return {
        "id": f"{number}.jpg",
        "prompt": "Describe the image in one sentence.",
        "gold": f"{said}\na circle and a square",
        "answer": said,
        "prediction": said,
        "values": {"accuracy": 2.1 + number / 40, "length": 7.0},
        "images": [made.picture(f"photo{number % 3}", (640, 420), 7)],
    }


def _detected(made: Site, number: int) -> Json:
    boxes = [
        {
            "label": f"{COLORS[one]} {SHAPES[one % 3]}",
            "score": 0.97 - one / 9,
            "box": [0.1 + one / 4, 0.2, 0.32 + one / 4, 0.55 + one / 9],
        }
        for one in range(number % 4)
    ]
    right = len(boxes) == 2
    return {
        "id": f"{number // 4:05d}",
        "index": number % 4,
        "group": f"{number // 4:05d}",
        "prompt": "a photo of two circles",
        "drawn": made.picture(f"drawn{number % 8}", (512, 512) if number % 5 == 1 else (48, 48)),
        "reason": "" if right else f"expected circle>=2, found {len(boxes)}",
        "values": {"accuracy": float(right)},
        "tags": {"category": ("counting", "colors")[number // 4 % 2]},
        "plan": "one circle to the left, one to the right" if number % 2 else None,
        "judge": {"name": "oracle-1", "words": [], "questions": [], "boxes": boxes},
    }


def _questioned(made: Site, number: int) -> Json:
    questions = [
        {
            "question": f"Is the {SHAPES[one % 3]} {COLORS[one]}?",
            "expected": "yes",
            "answer": ("yes", "no")[(number + one) % 3 == 0],
            "right": (number + one) % 3 != 0,
        }
        for one in range(6)
    ]
    return {
        "id": f"shapes_{number:03d}",
        "prompt": "A large red circle lies to the left of a small blue square; below is a green triangle. " * 3,
        "drawn": made.picture(f"drawn{number % 8}") if number % 6 else {"missing": "the picture was not drawn"},
        "values": {"accuracy": sum(one["right"] for one in questions) / 6},
        "judge": {"name": "oracle-1", "words": ["I see a circle.", RTL, HOSTILE], "questions": questions, "boxes": []},
    }


def homologous(made: Site, run_key: str, n: int) -> list[Json]:
    """Both sides of the gap: three questions an item about the real picture, the same about the drawn one."""
    items = [_item(made, number, number % 3) for number in range(n)]
    where = f"runs/{run_key}/homologous"
    made.write(
        where,
        {"n": n, "chunk": CHUNK, **{name: [item[name] for item in items] for name in ("id", "caption", "u", "g")}},
    )
    made.chunks(where, "items", items)

    def one_side(_: Site, number: int) -> Json:
        item, question = items[number // 3], items[number // 3]["questions"][number % 3]
        values = {"accuracy": float(question["real_right"])}
        return _asked_about(item, question, number % 3) | {"values": values}

    def other_side(_: Site, number: int) -> Json:
        item = items[number]
        asked = [
            {
                "question": one["question"],
                "expected": one["gold"],
                **one["drawn"][0],
            }
            for one in item["questions"]
        ]
        judge = {"name": "oracle-1", "words": [], "questions": asked, "boxes": []}
        return {
            "id": item["id"],
            "prompt": item["caption"],
            "drawn": item["drawn"][0]["picture"],
            "values": {"accuracy": item["g"]},
            "judge": judge,
        }

    return [
        asked(made, run_key, "homologous-u", "U", one_side, 3 * n, "0..1"),
        drawn(made, run_key, "homologous-g", "G", other_side, n, "0..1"),
    ]


def _asked_about(item: Json, question: Json, place: int) -> Json:
    prompt = f"{question['question']} Answer in one word."
    shared = {"gold": question["gold"], "answer": question["real_answer"], "prediction": question["real_answer"]}
    return {"id": f"{item['id']}/{place}", "group": item["id"], "prompt": prompt, "images": [item["real"]], **shared}


def _item(made: Site, number: int, wrong: int) -> Json:
    """An item whose first ``wrong`` answers about the drawn picture are wrong, and every fifth about the real one.

    The 25th has two pictures more, of which one has all right and the other nothing.
    """
    more = (0, 3) if number == SEVERAL else ()
    questions = [
        {
            "question": question,
            "gold": gold,
            "real_answer": gold if number % 5 or one else "teal",
            "real_right": bool(number % 5 or one),
        }
        | {"drawn": [{"answer": "none" if one < bad else gold, "right": one >= bad} for bad in (wrong, *more)]}
        for one, (question, gold) in enumerate(
            (
                ("What color is the circle?", "red"),
                ("How many shapes are there?", "2"),
                ("Where is the circle?", "bottom left"),
            )
        )
    ]
    caption = {0: RTL, 1: HOSTILE}.get(number, f"a red circle and a {COLORS[number % 6]} square")
    u = sum(one["real_right"] for one in questions) / 3
    each = [sum(one["drawn"][place]["right"] for one in questions) / 3 for place in range(1 + len(more))]
    drawn = [
        {
            "picture": made.picture(f"drawn{(number + place) % 8}"),
            "plan": "circle left, square right" if number % 2 else None,
            "g": value,
        }
        for place, value in enumerate(each)
    ]
    if number == UNJUDGED:
        questions[0]["drawn"] = [{"answer": None, "right": None}]
    return {
        "id": f"{number:04d}",
        "caption": caption,
        "real": made.picture(f"real{number % 12}"),
        "drawn": drawn,
        "questions": questions,
        "u": u,
        "g": sum(each) / len(each),
    }


def play(made: Site, key: str, last: int = 3) -> tuple[list[Json], list[Json]]:
    """A self-play of ``last`` rounds in which the gap closes, and the runs of its rounds."""
    curve = [(0.973, 0.866), (0.969, 0.884), (0.969, 0.911), (0.964, 0.939)]
    games = [
        run(f"{key}~{one}", "hermes-tiny", f"{one}a8e8fafed7c", [], play=key, round=one, gap=_gap(*curve[one]))
        for one in range(last + 1)
    ]
    rounds = [
        {
            "round": one,
            "run": games[one]["key"],
            **_gap(*curve[one]),
            "pairs": 25 if one else 0,
            "drops": {"images: best and worst score alike": 12 * one, "captions: best and worst score alike": 0},
            "failures": {},
        }
        | {"training": {"steps": 57, "loss_first": 0.693, "loss_last": 0.52 + one / 100} if one else {}}
        for one in range(last + 1)
    ]
    items = []
    for number in range(30):
        each = [_item(made, number, (number * 7 + one * (number % 3)) % 4) for one in range(last + 1)]
        of_rounds = [
            {
                "round": one,
                **{name: item[name] for name in ("drawn", "u", "g", "questions")},
            }
            for one, item in enumerate(each)
        ]
        items.append({**{name: each[0][name] for name in ("id", "caption", "real")}, "rounds": of_rounds})
    where = f"plays/{key}/items"
    sides = {side: [[one[side] for one in item["rounds"]] for item in items] for side in ("u", "g")}
    made.write(
        where, {"n": 30, "chunk": 100, **{name: [item[name] for item in items] for name in ("id", "caption")}, **sides}
    )
    made.chunks(where, "items", items, 100)
    for one in range(1, last + 1):
        _pairs(made, f"plays/{key}/pairs-{one}", 25)
        made.write(
            f"plays/{key}/training-{one}",
            {"step": list(range(57)), "loss": [0.7 - step / 200 + (step * 37 % 11) / 90 for step in range(57)]},
        )
    game = {"key": key, "name": "hermes-tiny, sum, seed 0", "rounds": rounds, "items": 30}
    return [game | {"training": list(range(1, last + 1))}], games


def _pairs(made: Site, where: str, n: int) -> None:
    pairs = [_pair(made, number) for number in range(n)]

    def margins(side: str) -> list[float | None]:
        return [one[side] and one[side]["winner"]["score"] - one[side]["loser"]["score"] for one in pairs]

    named = {name: [one[name] for one in pairs] for name in ("id", "caption")}
    made.write(where, {"n": n, "chunk": CHUNK, **named, "margin_und": margins("und"), "margin_gen": margins("gen")})
    made.chunks(where, "pairs", pairs)


def _pair(made: Site, number: int) -> Json:
    item = _item(made, number, 1)
    said = {"text": item["caption"], "image": None, "plan": None}
    seen = {"text": None, "plan": "circle left" if number % 2 else None}
    und = {
        "winner": said | {"score": 0.93},
        "loser": said | {"score": 0.4 + number / 60, "text": HOSTILE if number == 2 else "a teal square"},
    }
    gen = {
        "winner": seen | {"score": 1.0, "image": item["drawn"][0]["picture"]},
        "loser": seen | {"score": number / 40, "image": made.picture(f"drawn{(number + 3) % 8}")},
    }
    return {
        "id": item["id"],
        "caption": item["caption"],
        "real": item["real"],
        "und": None if number % 4 == 3 else und,
        "gen": None if number % 5 == 4 else gen,
    }


def _gap(u: float, g: float) -> Json:
    return {"u": u, "g": g, "gap": u - g, "low": u - g - 0.021, "high": u - g + 0.021}
