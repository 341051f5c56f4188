"""What the samples of a run asked and what it answered, as far as its scores and stores have it."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from hermes.harness.records.journal import unsealed
from hermes.harness.records.stored_samples import read_sample, samples_path
from hermes.harness.records.types import Response, Score
from hermes.harness.system.errors import HermesError
from hermes.leaderboards.read import Run, answer_folders
from hermes.leaderboards.scores import scores_of
from hermes.leaderboards.shifts import Key
from hermes.leaderboards.worth import WORTH, gold_of


@dataclass(frozen=True)
class Answer:
    """What one run made of a sample: what it is ``worth`` (0..1), the text or the picture's file, and the reason.

    ``plan`` is what the model wrote before it drew the picture, "" where it wrote nothing.
    """

    worth: float
    text: str
    picture: Path | None
    reason: str
    plan: str = ""


def worths(path: Path) -> dict[Key, float]:
    """How right each answer of a score file is, 0..1, as far as its values say so. Raises as `scores_of`."""
    return {
        (score.sample_id, score.index): worth
        for score in scores_of(path)
        if score.status != "error" and (worth := _worth(score)) is not None
    }


def _worth(score: Score) -> float | None:
    found = next((score.values[name] for name in WORTH if name in score.values), None)
    return found if found is not None and 0 <= found <= 1 else None


def answers_of(run: Run, task: str, path: Path, keys: Collection[Key]) -> dict[Key, tuple[Score, Answer]]:
    """The score and the answer of each of the keys."""
    store = answer_folders(run.path).get(task)
    prompts = {sample: prompt for sample, (prompt, _) in asked_of(run, task, keys).items()} if store else {}
    given = _responses(store, keys, prompts) if store else {}
    found = {}
    for score in scores_of(path):
        key = score.sample_id, score.index
        if key in keys:
            response = given.get(key)
            text = _text(score.prediction) if response is None or response.text is None else response.text
            picture = (
                store.resolve() / "media" / f"{response.image}.png" if store and response and response.image else None
            )
            plan = (response.plan if response else None) or ""
            found[key] = score, Answer(_worth(score) or 0.0, text, picture, score.reason, plan)
    return found


def _text(prediction: Any) -> str:
    return prediction if isinstance(prediction, str) else json.dumps(prediction, ensure_ascii=False)


def _responses(store: Path, keys: Collection[Key], prompts: Mapping[str, str]) -> dict[Key, Response]:
    """The stored answers to these samples; lines that are damaged are passed over.

    A store keeps the answers to an earlier wording of a sample, too: those to other ``prompts`` are left out.
    """
    wanted = {sample: sha256(prompt.encode(errors="replace")).hexdigest() for sample, prompt in prompts.items()}
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
                fits = response.prompt_sha256 in ("", wanted.get(response.sample_id, response.prompt_sha256))
                if key in keys and fits and response.status == "ok":
                    found[key] = response
    return found


def asked_of(run: Run, task: str, keys: Collection[Key]) -> dict[str, tuple[str, str]]:
    """Prompt and right answer of these samples, where the store keeps what was asked; damaged lines are passed over."""
    store = answer_folders(run.path).get(task)
    path = samples_path(store, run.results[task].data.fingerprint) if store else None
    if path is None or not path.is_file():
        return {}
    names = {name for name, _ in keys}
    found = {}
    with path.open("rb") as lines:
        for line in lines:
            try:
                sample = read_sample(line, str(path))
            except HermesError:
                continue
            if sample.id in names:
                found[sample.id] = sample.prompt, gold_of(sample.target) or ""
    return found
