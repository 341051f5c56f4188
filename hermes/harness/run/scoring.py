"""Stored answers to scores to a result; loads no model, and holds no more than a few answers at a time."""

import hashlib
import json
import math
import sys
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from hermes.harness.contracts.benchmark import Answer, Evaluator, Scored, failed
from hermes.harness.contracts.reasoning import THINK, Tags, has_reasoning, without_reasoning
from hermes.harness.records.images import ImageHandle
from hermes.harness.records.keys import judgement_key, short_hash, slug_with_hash
from hermes.harness.records.store import Store
from hermes.harness.records.types import GenerationConfig, Judgement, Response, Result, Sample, Score
from hermes.harness.run.failing import Reasons
from hermes.harness.run.likeness import Likeness
from hermes.harness.run.plan import Task, keyed, used_protocol
from hermes.harness.run.samples import samples_stand, written
from hermes.harness.system.disk import json_text, new_lines, read_json, write_json
from hermes.harness.system.errors import HermesError
from hermes.shapes.twins import twin_of

CHUNK = 512
CUTS = ("truncated", "prompt_cut")
SUBMISSION = ".submission.json"
NO_RESPONSE, NO_JUDGEMENT = "no response", "no judgement"


class Entry(NamedTuple):
    """One thing to score: a sample, the number of its answer, that answer, and what was said of it, if anything."""

    sample: Sample
    number: int
    response: Response | None
    judgement: Judgement | None = None
    image: ImageHandle | None = None


def score_task(
    task: Task,
    config: GenerationConfig,
    store: Store,
    protocol: str,
    judge: str | None,
    drawn: Iterable[Entry] | None = None,
) -> Result:
    """The result of what is stored for a task under a protocol; its scores lie where `places` says.

    Scores are kept for each protocol, judge and data, and are not computed again while samples, answers, judgements
    and the code of the benchmark stay what they were. ``drawn`` are all entries, where they come into the store only
    now.
    """
    used = used_protocol(task.evaluator, protocol)
    path = places(task, config, store, used, judge)["scores"]
    if drawn is None and (known := _known(task, config, store, path, judge)) is not None:
        return known
    with new_lines(path) as add:
        result = summarise(
            task,
            entries(task, config, store, judge) if drawn is None else drawn,
            config.num_images,
            used,
            judge,
            lambda score: add(score.model_dump_json()),
        )
    submission = task.evaluator.submission(_with_samples(task, config, path))
    if submission is not None:
        write_json(path.with_suffix(SUBMISSION), submission)
    write_json(path.with_suffix(".json"), {"made_of": _made_of(task, config, store, judge), "result": result})
    return result


def all_scored(task: Task, config: GenerationConfig, store: Store, protocol: str) -> bool:
    """Whether every answer in words is stored and scored, none with an error: then there is nothing left to ask."""
    path = places(task, config, store, protocol, None)["scores"]
    known = _known(task, config, store, path, None)
    return known is not None and not known.counts["error"]


def _with_samples(task: Task, config: GenerationConfig, path: Path) -> Iterator[Scored]:
    """Every score of a file with its sample."""
    for one, score in zip(keyed(task, config), read_scores(path), strict=True):
        yield one.sample, score


def places(task: Task, config: GenerationConfig, store: Store, protocol: str, judge: str | None) -> dict[str, Path]:
    """Where what a result was made of lies: "answers", "scores", and "judgements" where there is a judge.

    The result is beside the scores, and so is what an evaluation server wants, where it alone has the answers.
    """
    used = used_protocol(task.evaluator, protocol)
    name = scores_name(used, judge, task.data.info.fingerprint, config.num_images, task.evaluator.tags)
    found = {"answers": store.folder, "scores": store.folder / "scores" / name}
    return found | ({"judgements": store.judgements(judge).folder} if judge else {})


def scores_name(protocol: str, judge: str | None, fingerprint: str, num_images: int, tags: Tags) -> str:
    """What the file of scores under these terms is called in a store's folder of scores."""
    said = f"{protocol}~{slug_with_hash(judge)}" if judge else protocol
    marked = "" if tags == THINK else f"~tags-{short_hash(tags)}"
    return f"{said}~{fingerprint}x{num_images}{marked}.jsonl"


def read_scores(path: Path) -> Iterator[Score]:
    """The scores of a file, one after the other. Raises HermesError for a line that is none."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                yield Score.model_validate_json(line)
            except ValidationError:
                raise HermesError(f"{path} line {number} is damaged; remove the file and score again") from None


def entries(task: Task, config: GenerationConfig, store: Store, judge: str | None) -> Iterator[Entry]:
    """Every sample with its stored answers and judgements, in sample order."""
    responses = store.responses.index()
    judgements = store.judgements(judge).index() if judge else None
    stream = written(task, config, store)
    while chunk := list(islice(stream, CHUNK)):
        found = responses.get([one.key for one in chunk])
        said: list[Judgement | None] = [None] * len(chunk)
        if judgements is not None:
            said = judgements.get(
                [
                    judgement_key(one.key, (response.image or response.text) if response else None, one.whole)
                    for one, response in zip(chunk, found, strict=True)
                ]
            )
        for one, response, judgement in zip(chunk, found, said, strict=True):
            picture = store.image(response) if response is not None and response.image else None
            yield Entry(one.sample, one.number, response, judgement, picture)


def summarise(
    task: Task,
    stream: Iterable[Entry],
    num_images: int,
    protocol: str,
    judge: str | None,
    keep: Callable[[Score], object],
) -> Result:
    """The result of all entries; ``keep`` gets every score in sample order, errors included."""
    info, evaluator = task.data.info, task.evaluator
    counts: Counter[str] = Counter()
    reasons, likeness = Reasons(), Likeness()
    looked = _looked_at(stream, evaluator, protocol, counts, likeness)

    def usable() -> Iterator[Scored]:
        for sample, found in scored(evaluator, looked, protocol, judged=judge is not None):
            score = _finite(sample, found)
            counts[score.status] += 1
            keep(score)
            if score.status != "error":
                yield sample, score
            else:
                reasons.add(score.reason)

    good = usable()
    first = next(good, None)
    metrics = evaluator.aggregate(chain([first], good), protocol) if first is not None else {}
    deque(good, maxlen=0)  # a benchmark without metrics looks at none
    n = counts["scored"] + counts["unparsed"]
    twin = twin_of(evaluator) if info.world == "shapes" else None
    return Result(
        evaluator=evaluator.name,
        version=evaluator.version,
        ability=evaluator.ability,
        protocol=protocol,
        judge=judge,
        data=info,
        headline=evaluator.headline,
        unit=evaluator.unit,
        chance=evaluator.chance,
        best=twin.best if twin and twin.best is not None else evaluator.best,
        metrics=metrics,
        n=n,
        n_expected=info.n_expected * num_images,
        partial=n < info.n_expected * num_images,
        counts={status: counts[status] for status in ("scored", "unparsed", "error")}
        | {what: counts[what] for what in (*CUTS, "reasoned", "stripped") if counts[what]},
        failures=reasons.commonest(),
        notes=(*_rewriter(task), *likeness.notes(counts["scored"]), *evaluator.notes(metrics)),
        lower=evaluator.lower,
    )


def _rewriter(task: Task) -> Iterator[str]:
    """Who wrote the prompts anew, where somebody did."""
    if column := task.rewriter.get("column"):
        yield f"prompts rewritten, as in the rows' column {column}"
    elif task.rewriter:
        yield f"prompts rewritten by {task.rewriter['name']}"


def _finite(sample: Sample, score: Score) -> Score:
    """The score, or that of an error where a value of it is no number that a file could hold."""
    for name, value in score.values.items():
        if not math.isfinite(value):
            return failed(sample, score.index, f"the value of {name} is {value}, not a finite number")
    return score


def _looked_at(
    stream: Iterable[Entry], evaluator: Evaluator, protocol: str, counts: Counter[str], likeness: Likeness
) -> Iterator[Entry]:
    """The entries, without reasoning before their answers where the protocol takes it away; counted is what there was.

    What is stored stays whole.
    """
    for entry in stream:
        response = entry.response
        if response is not None and response.status == "ok":
            counts.update(what for what in CUTS if getattr(response, what))
            if response.text and has_reasoning(response.text, evaluator.tags):
                counts["reasoned"] += 1
                if protocol in evaluator.strips_reasoning:
                    text = without_reasoning(response.text, evaluator.tags)
                    counts["stripped"] += text != response.text.strip()
                    response = response.model_copy(update={"text": text})
                    entry = entry._replace(response=response)
            likeness.see(entry.sample, response, entry.judgement.data if entry.judgement else None)
        yield entry


def scored(evaluator: Evaluator, stream: Iterable[Entry], protocol: str, judged: bool) -> Iterator[Scored]:
    """Every entry's sample and score, in order.

    A response that is missing or ended in an error, and one without a judgement where there must be one, is a score
    with status ``error``. So is a judgement that lacks what the protocol looks at.
    """
    if type(evaluator).scores is Evaluator.scores:
        for entry in stream:
            answer = _answer(entry, judged)
            yield entry.sample, answer if isinstance(answer, Score) else next(evaluator.scores([answer], protocol))
        return
    waiting: deque[tuple[Sample, Score | None]] = deque()  # None: the evaluator's next score belongs here

    def good() -> Iterator[Answer]:
        for entry in stream:
            answer = _answer(entry, judged)
            waiting.append((entry.sample, answer if isinstance(answer, Score) else None))
            if not isinstance(answer, Score):
                yield answer

    for score in evaluator.scores(good(), protocol):
        while (ready := waiting.popleft())[1] is not None:
            yield ready[0], ready[1]
        yield ready[0], score
    while waiting:
        sample, error = waiting.popleft()
        if error is None:
            raise RuntimeError(f"{evaluator.name} gave fewer scores than it got answers")
        yield sample, error


def _answer(entry: Entry, judged: bool) -> Answer | Score:
    """What the evaluator scores, or the score of an entry that has no usable answer."""
    sample, index, response, judgement, image = entry
    if response is None:
        return failed(sample, index, NO_RESPONSE)
    if response.status == "error":
        return failed(sample, index, response.error or "error")
    if not judged:
        return Answer(sample, response, image)
    if judgement is None or judgement.error is not None:
        return failed(sample, index, (judgement.error if judgement else None) or NO_JUDGEMENT)
    return Answer(sample, response, image, judgement.data)


def _made_of(task: Task, config: GenerationConfig, store: Store, judge: str | None) -> dict[str, Any]:
    """All that scores depend on beside protocol and judge."""
    return {
        "data": task.data.info.model_dump(),
        "images": config.num_images,
        "code": _code_mark(task.evaluator),
        "responses": store.responses.hashes(),
        "judgements": store.judgements(judge).hashes() if judge else [],
    }


def _known(task: Task, config: GenerationConfig, store: Store, path: Path, judge: str | None) -> Result | None:
    """The result that was computed from the same things before, if there is one and its samples stand."""
    beside = path.with_suffix(".json")
    if not (path.is_file() and beside.is_file() and samples_stand(task, store)):
        return None
    made_of = _made_of(task, config, store, judge)
    try:
        content = read_json(beside)
        same = content["made_of"] == json.loads(json_text(made_of))
        return Result.model_validate(content["result"]) if same else None
    except (HermesError, KeyError, TypeError, ValidationError):  # damaged: the scores are computed again
        return None


def _code_mark(evaluator: Evaluator) -> str:
    """A hash of the source files that the benchmark's classes come from and of all that lie beside them."""
    digest = hashlib.sha256()
    homes = {
        Path(file).parent if cls.__module__.startswith("hermes.") else Path(file)
        for cls in type(evaluator).__mro__
        if (file := getattr(sys.modules.get(cls.__module__), "__file__", None)) and cls.__module__ != "builtins"
    }
    homes |= {Path(__file__).parent, Path(__file__).parents[1] / "records"}
    for home in sorted(homes):
        for path in sorted(home.glob("*.py")) if home.is_dir() else [home]:
            if path.suffix == ".py":
                digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
