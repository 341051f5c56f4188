"""One answer with all that belongs to it, as plain data for a page: texts, pictures, the judge's words and boxes."""

from collections.abc import Mapping
from typing import Any

from hermes.harness.contracts.reader import words
from hermes.harness.data.cells import asked_pictures
from hermes.harness.records.images import ImageHandle
from hermes.harness.records.stored_samples import StoredSample
from hermes.harness.system.text import plain
from hermes.leaderboards.questions import asked_about, reply_to, words_of
from hermes.leaderboards.stored import TaskFiles
from hermes.leaderboards.worth import gold_of
from hermes.viewer.pictures import Pictures
from hermes.viewer.rows import ANSWERED, Row

LONGEST = 20_000  # Characters of one text.


def detail(row: Row, files: TaskFiles, pictures: Pictures) -> dict[str, Any]:
    """All that is known of an answer."""
    sample, score, response = row.sample, row.score, row.response
    drawn = drawn_picture(row, files, pictures)
    failed = response is not None and response.error is not None
    return {
        "id": row.id,
        "index": row.index,
        "group": score.group_id if score else sample.group_id if sample else "",
        "prompt": clean(sample.prompt) if sample else None,
        "choices": [clean(choice) for choice in sample.choices] if sample else [],
        "gold": said(gold_of(sample.target)) if sample else None,
        "answer": said(response.text) if response else None,
        "plan": said(response.plan) if response else None,
        "prediction": said(words_of(score.prediction)) if score else None,
        "reason": clean(score.reason) if score else "",
        "status": score.status if score else "error" if failed else ANSWERED,
        "error": said(response.error) if response else None,
        "values": dict(score.values) if score else {},
        "tags": {clean(name): clean(tag) for name, tag in score.tags.items()} if score else {},
        "seconds": response.seconds if response else None,
        "truncated": bool(response and response.truncated),
        "prompt_cut": bool(response and response.prompt_cut),
        "images": shown_pictures(sample, files, pictures),
        "drawn": drawn,
        "judge": _judge(row, drawn),
    }


def shown_pictures(sample: StoredSample | None, files: TaskFiles, pictures: Pictures) -> list[dict[str, Any]]:
    """The pictures that the question is about."""
    return [pictures.shown(one) for one in (asked_pictures(sample, files.samples, files.by_content) if sample else ())]


def drawn_picture(row: Row, files: TaskFiles, pictures: Pictures) -> dict[str, Any] | None:
    """The picture that was drawn; None where the answer is none."""
    if row.response is None or row.response.image is None:
        return None
    path = files.store / "media" / f"{row.response.image}.png"
    return pictures.shown(ImageHandle(path, where=str(path)))


def questions_of(row: Row) -> list[dict[str, Any]]:
    """What a judge was asked about a drawn picture, what was expected, and what it said."""
    data = row.judgement.data if row.judgement else {}
    answers = data.get("answers")
    asked = asked_about(row.sample.target, row.sample.metadata) if row.sample else []
    read = row.score.prediction if row.score else None
    found = []
    for number, (name, question, expected) in enumerate(asked):
        answer, meant = reply_to(answers, number, name), reply_to(read, number, name)
        right = None if meant is None else meant == expected or words(meant) == words(expected)
        found.append(
            {"question": clean(question), "expected": said(expected), "answer": said(answer or meant), "right": right}
        )
    return found


def clean(text: str) -> str:
    """A text without what moves other text or cannot be seen; very long ones lose their middle."""
    return plain(text, lines=True, longest=LONGEST)


def said(text: str | None) -> str | None:
    return None if text is None else clean(text)


def _judge(row: Row, drawn: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if row.judgement is None:
        return None
    data = row.judgement.data
    told = [row.judgement.error or "", *(str(data[name]) for name in ("reply", "reason") if data.get(name))]
    return {
        "name": clean(row.judgement.judge),
        "words": [clean(text) for text in told if text],
        "questions": questions_of(row),
        "boxes": _boxes(data.get("detections"), drawn or {}),
    }


def _boxes(detections: Any, drawn: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Boxes as fractions of width and height."""
    width, height = drawn.get("width"), drawn.get("height")
    if not isinstance(detections, Mapping) or not width or not height:
        return []
    sides = (width, height, width, height)
    return [
        {
            "label": clean(" ".join(filter(None, (one.get("color") or "", str(name))))),
            "score": one.get("score"),
            "box": [float(value) / side for value, side in zip(one["box"], sides, strict=True)],
        }
        for name, found in detections.items()
        for one in found
        if isinstance(one, Mapping) and len(one.get("box") or ()) == 4
    ]
