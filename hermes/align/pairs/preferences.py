"""From scored candidates to preference pairs: best against worst, the raise-the-bar rules, and filters that count."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import ValidationError

from hermes.align.losses.objectives import OBJECTIVES
from hermes.align.settings import GROUPED, SUPERVISED, AlignSettings
from hermes.harness.records.types import Record
from hermes.harness.system.errors import HermesError

Side = Literal["und", "gen"]
SIDES: tuple[Side, ...] = ("und", "gen")
SIDE_OF: dict[str, Side] = {"text": "und", "image": "gen"}
"""The side on which a kind of likelihood items is preferred."""
R = TypeVar("R", bound=Record)


class Candidate(Record):
    """One caption (``text``) or one generated image (sha256 of its PNG) of an item, with its score in 0..1.

    ``plan`` is what the model wrote before it drew the image, None where it does not plan.
    ``confidence`` ranks candidates of one score: the mean log-probability of the right answers, where it was measured.
    ``advantage`` is what it is worth beside the item's others, where groups are trained on. ``prompt`` asked for a
    ``text`` that is no caption; its ``image`` is the one that it is about, where that is not the real one. An image
    with a ``prompt`` is drawn from that and not from the item's caption, and one ``again`` from what the model sees of
    it, too. ``right`` says of each of the item's questions about an image whether the critic answered it rightly, as 0
    and 1.
    """

    item_id: str
    side: Side
    round: int
    index: int
    seed: int
    score: float
    confidence: float | None = None
    text: str | None = None
    image: str | None = None
    plan: str | None = None
    advantage: float | None = None
    prompt: str | None = None
    again: bool = False
    right: str | None = None


class Duel(Record):
    """The winner and the loser of one side of an item."""

    winner: Candidate
    loser: Candidate

    @property
    def margin(self) -> float:
        return self.winner.score - self.loser.score


class Preference(Record):
    """One homologous item (x, y) with (y_w, y_l) and (x_w, x_l); a side without a valid pair is None.

    ``image`` is the sha256 of the stored image that the texts are about, the real x, and ``caption`` is y. ``prompt``
    asked for the captions, or for the answers. An item may have several; ``place`` counts them.
    """

    item_id: str
    place: int = 0
    round: int
    image: str
    caption: str
    prompt: str
    und: Duel | None
    gen: Duel | None

    @property
    def id(self) -> str:
        """Its own name: the item's for the first of an item."""
        return f"{self.item_id}, pair {self.place + 1}" if self.place else self.item_id


Bar = tuple[Candidate, Candidate]
BarRule = Callable[[Bar, Candidate, Candidate], Bar]


def fresh(old: Bar, best: Candidate, worst: Candidate) -> Bar:
    """This round's best against this round's worst."""
    return best, worst


def paper(old: Bar, best: Candidate, worst: Candidate) -> Bar:
    """The paper's rule: a new best above the old winner dethrones it, the old winner becomes the loser; otherwise the
    new best takes the loser's place."""
    winner, _ = old
    return (best, winner) if best.score > winner.score else (winner, best)


def released(old: Bar, best: Candidate, worst: Candidate) -> Bar:
    """The released script's rule: as the paper's where the new best is better; otherwise the new best wins against
    the old loser, even where it scores lower (such a pair is dropped here as "inverted")."""
    winner, loser = old
    return (best, winner) if best.score > winner.score else (best, loser)


RULES: dict[str, BarRule] = {"fresh": fresh, "paper": paper, "released": released}


def best_and_worst(candidates: Sequence[Candidate]) -> Bar:
    """The first with the highest and the first with the lowest score; of equal ones, by the model's confidence."""
    return max(candidates, key=rank), min(candidates, key=rank)


def rank(candidate: Candidate) -> tuple[float, float]:
    """By what candidates are ordered."""
    return candidate.score, candidate.confidence or 0.0


def raise_bars(rounds: Sequence[Iterable[Candidate]], rule: str) -> dict[tuple[str, Side], Bar]:
    """The (winner, loser) of every item and side after these rounds' candidates, oldest first; joined by item id.

    The result holds the sides that have candidates in the last round; no filter is applied yet.
    """
    bars: dict[tuple[str, Side], Bar] = {}
    latest: set[tuple[str, Side]] = set()
    for candidates in rounds:
        groups = groups_of(candidates)
        for key, group in groups.items():
            best, worst = best_and_worst(group)
            bars[key] = RULES[rule](bars[key], best, worst) if key in bars else (best, worst)
        latest = set(groups)
    return {key: bar for key, bar in bars.items() if key in latest}


def groups_of(candidates: Iterable[Candidate]) -> dict[tuple[str, Side], list[Candidate]]:
    """The candidates of each side of an item."""
    groups: dict[tuple[str, Side], list[Candidate]] = {}
    for candidate in candidates:
        groups.setdefault((candidate.item_id, candidate.side), []).append(candidate)
    return groups


def alike(one: Candidate, other: Candidate) -> bool:
    """Whether two candidates are the same image, or the same caption but for white space."""
    if one.image is not None:
        return one.image == other.image
    return (one.text or "").split() == (other.text or "").split()


def verdict(bar: Bar, threshold: float | None) -> str | None:
    """Why a (winner, loser) gives no pair, or None: "tie" (equal scores, or alike), "inverted", "threshold" (the winner
    is not above it)."""
    winner, loser = bar
    if winner.score == loser.score or alike(winner, loser):
        return "tie"
    if winner.score < loser.score:
        return "inverted"
    if threshold is not None and winner.score <= threshold:
        return "threshold"
    return None


def dropped(bar: Bar, threshold: float | None, side_loss: str) -> str | None:
    """`verdict` under a loss: a supervised winner needs no loser, and a group is a tie where all of it scores alike."""
    if side_loss == SUPERVISED:
        return "threshold" if threshold is not None and bar[0].score <= threshold else None
    if side_loss in GROUPED:
        return None if bar[0].advantage or bar[1].advantage else "tie"
    return verdict(bar, threshold)


def build(
    items: Mapping[str, tuple[str, str]],
    bars: Mapping[tuple[str, Side], Sequence[Bar]],
    *,
    number: int,
    prompt: str,
    threshold: float | None,
    pairing: str,
    objective: str,
    side_loss: str = "sigmoid",
    differ: str = "anything",
) -> tuple[list[Preference], dict[str, int]]:
    """The preferences of round ``number`` in item order, and how many were dropped for which reason.

    ``items`` maps an id to (real image's sha256, caption), ``bars`` an id and a side to its pairs; the first of both
    sides are one preference, the second another. ``threshold`` holds for images alone, as in the paper, and None is
    none. Under a ``differ`` that is not "anything" an item may have images and no pair of them.
    Reasons are "<side>: <why>" for a pair of a side, and "unpaired" for what is left out because ``pairing`` is "both"
    and the item lacks a side, or because the objective cannot use the side there is.
    """
    drops: Counter[str] = Counter()
    kept: list[Preference] = []
    for item_id, (image, caption) in items.items():
        duels: dict[Side, list[Duel]] = {}
        for side in SIDES:
            found = bars.get((item_id, side), ())
            reasons = [dropped(bar, threshold if side == "gen" else None, side_loss) for bar in found]
            apart = side == "gen" and differ != "anything" and (item_id, side) in bars
            drops.update(f"{side}: {why}" for why in (reasons or ["differ" if apart else "no candidates"]) if why)
            duels[side] = [
                Duel(winner=winner, loser=loser)
                for (winner, loser), reason in zip(found, reasons, strict=True)
                if reason is None
            ]
        whole = bool(duels["und"] and duels["gen"])
        for place, (und, gen) in enumerate(zip_longest(duels["und"], duels["gen"])):
            if OBJECTIVES[objective].usable(und is not None, gen is not None) and (whole or pairing == "either"):
                own = {"item_id": item_id, "place": place, "round": number, "und": und, "gen": gen}
                asked, about = (und.winner.prompt, und.winner.image) if und else (None, None)
                kept.append(Preference(image=about or image, caption=caption, prompt=asked or prompt, **own))
            else:
                drops["unpaired"] += 1
    return kept, dict(sorted(drops.items()))


def without_ties(
    preferences: Iterable[Preference],
    ties: Mapping[str, Collection[Side]],
    drops: Mapping[str, int],
    *,
    pairing: str,
    objective: str,
) -> tuple[list[Preference], dict[str, int]]:
    """The preferences without those sides, by their ids, that turned out to be ties, and what is dropped by then."""
    counts, kept = Counter(drops), []
    for preference in preferences:
        sides = ties.get(preference.id, ())
        left = preference.model_copy(update=dict.fromkeys(sides))
        counts.update(f"{side}: tie" for side in sides)
        usable = OBJECTIVES[objective].usable(left.und is not None, left.gen is not None)
        if usable and (pairing == "either" or not sides):
            kept.append(left)
        elif left.und or left.gen:
            counts["unpaired"] += 1
    return kept, dict(sorted(counts.items()))


def without_side(
    side: Side, preferences: Iterable[Preference], drops: Mapping[str, int]
) -> tuple[list[Preference], dict[str, int]]:
    """The preferences on the other side alone, for a model that gives this one no likelihood, and what is dropped by
    then."""
    given = list(preferences)
    counts = Counter(drops) + Counter({f"{side}: no likelihood": sum(one[side] is not None for one in given)})
    left = [one.model_copy(update={side: None}) for one in given]
    return [one for one in left if one.und or one.gen], dict(sorted(counts.items()))


WORDS = {
    "tie": "ties",
    "inverted": "inverted",
    "threshold": "not above the threshold",
    "no candidates": "without candidates",
    "differ": "without images that differ in such questions alone",
    "other item": "of another item",
    "no likelihood": "without a likelihood",
    "unpaired": "left without the other side",
}


def nothing_left(drops: Mapping[str, int], settings: AlignSettings, given: Path | None) -> str:
    """What to say where no pair is left: how many sides were dropped for which reason, and what would help.

    ``given`` is the file that the pairs came from, None where they were drawn.
    """
    counts: Counter[str] = Counter()
    for reason, count in drops.items():
        counts[reason.rpartition(": ")[2]] += count
    found = ", ".join(f"{count} {WORDS[why]}" for why, count in counts.most_common() if why in WORDS)
    usable = OBJECTIVES[settings.objective].usable
    alone = settings.pairing == "both" and (usable(True, False) or usable(False, True))
    ways = ['give pairing = "either" to train on one side alone'] if counts["unpaired"] and alone else []
    ways += ["lower the threshold"] if counts["threshold"] else []
    ways += ["leave differ out"] if counts["differ"] else []
    ways += [f"put other pairs into {given.name}" if given else "draw more items or candidates"]
    return f"no valid preference pair to train on ({found or 'there are none'}); {', or '.join(ways)}"


def read_records(path: Path, record: type[R]) -> list[R]:
    """All records of a JSONL file. Raises HermesError that names the line that is not one."""
    return list(records_of(path, record))


def records_of(path: Path, record: type[R]) -> Iterator[R]:
    """`read_records` one by one."""
    with path.open("rb") as file:  # By bytes: a text file may split at other characters inside a caption.
        for number, line in enumerate(file, 1):
            try:
                yield record.model_validate_json(line)
            except ValidationError:
                raise HermesError(
                    f"{path}: line {number} is not a {record.__name__}; remove {path.parent} and run the same command "
                    "again"
                ) from None
