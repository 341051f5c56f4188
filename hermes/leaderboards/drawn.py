"""Which of the pictures that a model drew are shown: the best, the worst, and some that a seed draws. None by hand."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from hermes.harness.records.seeds import derive_seed
from hermes.harness.records.stored_samples import StoredSample
from hermes.harness.run.gap import GENERATION
from hermes.harness.system.errors import HermesError
from hermes.leaderboards.answers import Answer, answers_of, asked_of, worths
from hermes.leaderboards.read import History, Run, score_files
from hermes.leaderboards.shifts import Key

MOST = 30  # Pictures of one page.
EACH = 4  # Pictures of one kind, at most.


@dataclass(frozen=True)
class Drawing:
    """A prompt and what was drawn from it: one picture, or that of the base model and that of the last round."""

    sample: str
    prompt: str
    answers: tuple[Answer, ...]


def chosen(run: Run) -> Iterator[tuple[str, dict[str, list[Drawing]]]]:
    """For each task that draws, the drawings of each kind; no task whose scores or answers are gone."""
    tasks = [name for name, result in run.results.items() if result.ability == "generation"]
    each = max(1, min(EACH, MOST // (3 * max(len(tasks), 1))))
    for task in tasks[: MOST // 3]:
        try:
            path = score_files(run.path)[task]
            kinds = _kinds(worths(path), each, run.run_id, task)
            keys = {key for kind in kinds.values() for key in kind}
            asked = asked_of(run, task, keys)
            given = answers_of(run, task, path, keys, asked)
        except (HermesError, KeyError):
            continue
        found = {
            kind: [
                Drawing(key[0], _prompt(asked, key), (answer,)) for key in members if (answer := given[key][1]).picture
            ]
            for kind, members in kinds.items()
        }
        if any(found.values()):
            yield task, found


def before_and_after(history: History) -> dict[str, list[Drawing]]:
    """Homologous items whose drawing rose most and fell most from the base model to the last round, and some by seed.

    Empty where there is one round alone, and where scores or answers are gone.
    """
    numbers = [entry.round for entry in history.rounds]
    runs = [history.evaluations.get(number) for number in (numbers[0], numbers[-1])] if len(numbers) > 1 else []
    ends = [run for run in runs if run and GENERATION in run.results]
    if len(ends) < 2:
        return {}
    try:
        files = [score_files(run.path)[GENERATION] for run in ends]
        first, last = map(worths, files)
        moved = {key: last[key] - first[key] for key in first if key in last}
        kinds = _moves(moved, MOST // 6, history.align_id)
        keys = {key for kind in kinds.values() for key in kind}
        asked = [asked_of(run, GENERATION, keys) for run in ends]
        sides = [answers_of(run, GENERATION, path, keys, of) for run, path, of in zip(ends, files, asked, strict=True)]
    except (HermesError, KeyError):
        return {}
    return {
        kind: [Drawing(key[0], _prompt(asked[0], key), tuple(side[key][1] for side in sides)) for key in members]
        for kind, members in kinds.items()
    }


def _prompt(asked: Mapping[str, StoredSample], key: Key) -> str:
    return asked[key[0]].prompt if key[0] in asked else ""


def _kinds(found: Mapping[Key, float], each: int, *seed: str) -> dict[str, list[Key]]:
    """Of each sample one picture at most; of equal ones the seed takes its pick."""
    order = _shuffled(found, *seed)
    best = sorted(_by_sample(found, order, -1), key=lambda key: -found[key])[:each]
    taken = {name for name, _ in best}
    left = [key for key in _by_sample(found, order, 1) if key[0] not in taken]
    worst = sorted(left, key=lambda key: found[key])[:each]
    taken |= {name for name, _ in worst}
    rest = [key for key in _by_sample(found, order, 0) if key[0] not in taken]
    return {"Best": best, "Worst": worst, "Random": rest[:each]}


def _by_sample(found: Mapping[Key, float], order: Sequence[Key], sign: int) -> list[Key]:
    """Each sample's best picture (``sign`` -1), its worst one (1) or its first one (0), samples in this order."""
    kept: dict[str, Key] = {}
    for key in order:
        if key[0] not in kept or sign * found[key] < sign * found[kept[key[0]]]:
            kept[key[0]] = key
    return list(kept.values())


def _moves(moved: Mapping[Key, float], each: int, *seed: str) -> dict[str, list[Key]]:
    order = _shuffled(moved, *seed)
    rose = sorted((key for key in order if moved[key] > 0), key=lambda key: -moved[key])[:each]
    fell = sorted((key for key in order if moved[key] < 0), key=lambda key: moved[key])[:each]
    rest = [key for key in order if key not in {*rose, *fell}]
    return {"Rose most": rose, "Fell most": fell, "Random": rest[:each]}


def _shuffled(keys: Mapping[Key, float], *seed: str) -> list[Key]:
    return sorted(keys, key=lambda key: derive_seed(*seed, *key))
