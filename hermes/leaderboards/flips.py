"""The samples that one run got right and another wrong: what was asked, and both answers, as far as they are stored."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from hermes.harness.records.journal import unsealed
from hermes.harness.records.types import Response, Score
from hermes.harness.system.errors import HermesError
from hermes.leaderboards.read import Run, answer_folders, score_files
from hermes.leaderboards.scores import scores_of
from hermes.leaderboards.shifts import WORTH, Key

FLIPPED = 0.5
"""So much an answer's worth changes where its sample has flipped: from wrong to right where it is 0 or 1."""


@dataclass(frozen=True)
class Answer:
    """What one run made of a sample: what it is ``worth`` (0..1), the text or the picture's file, and the reason."""

    worth: float
    text: str
    picture: Path | None
    reason: str


@dataclass(frozen=True)
class Flip:
    """A sample whose answer is right in one run and wrong in the other."""

    run: str
    task: str
    sample: str
    index: int
    category: str
    prompt: str
    target: str
    before: Answer
    after: Answer

    @property
    def is_gain(self) -> bool:
        return self.after.worth > self.before.worth


def flips_of(name: str, task: str, base: Run, run: Run) -> list[Flip]:
    """The samples of a task that flipped between two runs, the furthest first; none where scores are not there."""
    try:
        files = [score_files(one.path)[task] for one in (base, run)]
        before, after = (_worths(path) for path in files)
    except (HermesError, KeyError):
        return []
    moved = {key: abs(after[key] - before[key]) for key in before if key in after}
    keys = [key for key in sorted(moved, key=lambda key: -moved[key]) if moved[key] >= FLIPPED]
    wanted = set(keys)
    sides = [_side(one, task, path, wanted) for one, path in zip((base, run), files, strict=True)]
    asked = _asked(base, task, wanted) | _asked(run, task, wanted)
    found = []
    for key in keys:
        (first, answer), (second, other) = sides[0][key], sides[1][key]
        prompt, target = asked.get(key[0], ("", ""))
        category = ", ".join(dict.fromkeys((second.tags or first.tags).values()))
        found.append(Flip(name, task, *key, category, prompt, target, answer, other))
    return found


def _worths(path: Path) -> dict[Key, float]:
    return {
        (score.sample_id, score.index): worth
        for score in scores_of(path)
        if score.status != "error" and (worth := _worth(score)) is not None
    }


def _worth(score: Score) -> float | None:
    found = next((score.values[name] for name in WORTH if name in score.values), None)
    return found if found is not None and 0 <= found <= 1 else None


def _side(run: Run, task: str, path: Path, keys: Collection[Key]) -> dict[Key, tuple[Score, Answer]]:
    """The score and the answer of each of the keys."""
    store = answer_folders(run.path).get(task)
    given = _responses(store, keys) if store else {}
    found = {}
    for score in scores_of(path):
        key = score.sample_id, score.index
        if key in keys:
            response = given.get(key)
            text = _text(score.prediction) if response is None or response.text is None else response.text
            picture = (
                store.resolve() / "media" / f"{response.image}.png" if store and response and response.image else None
            )
            found[key] = score, Answer(_worth(score) or 0.0, text, picture, score.reason)
    return found


def _text(prediction: Any) -> str:
    return prediction if isinstance(prediction, str) else json.dumps(prediction, ensure_ascii=False)


def _responses(store: Path, keys: Collection[Key]) -> dict[Key, Response]:
    """The stored answers to these samples; lines that are damaged are passed over."""
    found: dict[Key, Response] = {}
    for path in sorted(store.glob("responses.*.jsonl")):
        with path.open("rb") as lines:
            for line in lines:
                body = unsealed(line)
                if body is None:
                    continue
                try:
                    response = Response.model_validate_json(body)
                except ValidationError:
                    continue
                key = response.sample_id, response.index
                if key in keys and response.status == "ok":
                    found[key] = response
    return found


def _asked(run: Run, task: str, keys: Collection[Key]) -> dict[str, tuple[str, str]]:
    """Prompt and right answer of these samples, where the store keeps what was asked."""
    store = answer_folders(run.path).get(task)
    path = store / "samples" / f"{run.results[task].data.fingerprint}.jsonl" if store else None
    if path is None or not path.is_file():
        return {}
    names = {name for name, _ in keys}
    found = {}
    with path.open("rb") as lines:
        for line in lines:
            sample = _object(line)
            if sample.get("id") in names:
                target = sample.get("target")
                found[str(sample["id"])] = (str(sample.get("prompt", "")), "" if target is None else _text(target))
    return found


def _object(line: bytes) -> Mapping[str, Any]:
    try:
        content = json.loads(line)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}
