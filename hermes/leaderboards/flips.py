"""The samples that one run got right and another wrong: what was asked, and both answers, as far as they are stored."""

from dataclasses import dataclass

from hermes.harness.system.errors import HermesError
from hermes.leaderboards.answers import Answer, answers_of, asked_of, worths
from hermes.leaderboards.read import Run, score_files

FLIPPED = 0.5
"""So much an answer's worth changes where its sample has flipped: from wrong to right where it is 0 or 1."""


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
        before, after = (worths(path) for path in files)
    except (HermesError, KeyError):
        return []
    moved = {key: abs(after[key] - before[key]) for key in before if key in after}
    keys = [key for key in sorted(moved, key=lambda key: -moved[key]) if moved[key] >= FLIPPED]
    wanted = set(keys)
    sides = [answers_of(one, task, path, wanted) for one, path in zip((base, run), files, strict=True)]
    asked = asked_of(base, task, wanted) | asked_of(run, task, wanted)
    found = []
    for key in keys:
        (first, answer), (second, other) = sides[0][key], sides[1][key]
        prompt, target = asked.get(key[0], ("", ""))
        category = ", ".join(dict.fromkeys((second.tags or first.tags).values()))
        found.append(Flip(name, task, *key, category, prompt, target, answer, other))
    return found
