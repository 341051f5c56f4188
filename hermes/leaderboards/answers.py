"""What the samples of a run asked and what it answered, as far as its scores and stores have it."""

from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from hermes.harness.records.journal import Journal, whole_lines
from hermes.harness.records.stored_samples import StoredSample, read_sample
from hermes.harness.records.types import Response, Score
from hermes.harness.system.errors import HermesError
from hermes.leaderboards.questions import words_of
from hermes.leaderboards.read import Run
from hermes.leaderboards.scores import scores_of
from hermes.leaderboards.shifts import Key
from hermes.leaderboards.stored import TaskFiles, stored_files
from hermes.leaderboards.worth import WORTH


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


def answers_of(
    run: Run, task: str, path: Path, keys: Collection[Key], asked: Mapping[str, StoredSample]
) -> dict[Key, tuple[Score, Answer]]:
    """The score and the answer of each of the keys; ``asked`` is what `asked_of` gives for them."""
    files = stored_files(run, task)
    given = _responses(files, keys, asked) if files else {}
    found = {}
    for score in scores_of(path):
        key = score.sample_id, score.index
        if key in keys:
            response = given.get(key)
            text = words_of(score.prediction) or "" if response is None or response.text is None else response.text
            picture = files.store / "media" / f"{response.image}.png" if files and response and response.image else None
            plan = (response.plan if response else None) or ""
            found[key] = score, Answer(_worth(score) or 0.0, text, picture, score.reason, plan)
    return found


def _responses(files: TaskFiles, keys: Collection[Key], asked: Mapping[str, StoredSample]) -> dict[Key, Response]:
    """The stored answers to these samples; lines that are damaged are passed over.

    A store keeps the answers to a sample as it was before, too, to another wording or picture: they have other keys.
    Where it does not say what was asked, the newest answer is taken.
    """
    wanted = {(name, index): files.key(name, index, asked[name].asked) for name, index in keys if name in asked}
    found: dict[Key, Response] = {}
    for path in Journal(files.store, "responses", Response).files():
        for _, _, body in whole_lines(path, []):
            try:
                response = Response.model_validate_json(body)
            except ValidationError:
                continue
            key = response.sample_id, response.index
            if key in keys and response.key == wanted.get(key, response.key) and response.status == "ok":
                found[key] = response
    return found


def asked_of(run: Run, task: str, keys: Collection[Key]) -> dict[str, StoredSample]:
    """What these samples asked, where the store keeps it; damaged lines are passed over."""
    files = stored_files(run, task)
    if files is None or not files.samples.is_file():
        return {}
    names = {name for name, _ in keys}
    found = {}
    with files.samples.open("rb") as lines:
        for line in lines:
            with suppress(HermesError):
                sample = read_sample(line, str(files.samples))
                if sample.id in names:
                    found[sample.id] = sample
    return found
