"""Preference pairs to and from HermesFlow's pair_dpo_data.json.

One object an item (Gen-Verse/HermesFlow at d6cf91a, README): id, img_path, prompt, caption, and winner and loser of
either side with their scores: caption_win, caption_lose, bert_score_win, bert_score_lose, image_win, image_lose,
vqa_score_win, vqa_score_lose. Images are drawn from ``caption``; ``prompt`` counts only where there is no caption. Ours
are plan_win and plan_lose, what a model that plans wrote before it drew each image, question, to which caption_win and
caption_lose are answers, and image_prompt, from which image_win and image_lose are drawn in the place of ``caption``.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Any

from PIL import Image

from hermes.align.losses.objectives import OBJECTIVES, sides_of
from hermes.align.pairs.preferences import (
    SIDES,
    Candidate,
    Duel,
    Preference,
    Side,
    verdict,
)
from hermes.harness.data.image_places import IMAGE_ROOT, image_path, image_root
from hermes.harness.data.json_stream import json_values
from hermes.harness.records.images import ImageHandle, pixel_sha256
from hermes.harness.system.disk import write_json
from hermes.harness.system.errors import HermesError

KEYS: dict[Side, tuple[str, str]] = {"und": ("caption", "bert_score"), "gen": ("image", "vqa_score")}
GENERATED = "generated_images"
NOTHING = "no candidates"
PROMPTS: dict[Side, str] = {"und": "question", "gen": "image_prompt"}
Finder = Callable[[str, str, str], str]
BOUND = 1.001  # A cosine in float32 may be a little above 1.


def write_pairs(preferences: Sequence[Preference], media: Path, out: Path) -> int:
    """Write the preferences as one JSON array, in one step; returns how many.

    Images are named relative to the folder of ``out``. A side that an item lacks is left out of its record. Raises
    HermesError for an image that is not in ``media``, and for pairs of --gen-pairs reconstruction.
    """

    def stored(digest: str, key: str, item: str) -> str:
        path = media / f"{digest}.png"
        if not path.is_file():
            raise HermesError(f"{path} ({key} of item {item!r}) is not there; give the media folder of this self-play")
        # "../" goes up from where a linked folder really is.
        return Path(os.path.relpath(path.resolve(), out.parent.resolve())).as_posix()

    if again := next((one.id for one in preferences if one.gen and one.gen.winner.again), None):
        raise HermesError(
            f"item {again!r} is drawn from what the model sees of its own picture (--gen-pairs reconstruction), which "
            "this format cannot say; such a self-play has no preferences to write"
        )
    records = [_record(_with_images(preference, stored)) for preference in preferences]
    write_json(out, records)
    return len(records)


def read_pairs(
    path: Path,
    keep_image: Callable[[Image.Image], str],
    prompt: str,
    *,
    threshold: float = 0.6,
    pairing: str = "either",
    objective: str = "sum",
) -> tuple[list[Preference], dict[str, int]]:
    """The preferences of a file, in its order, and how many were dropped for which reason.

    Read is JSON, and also appended objects with commas between them, as the released scripts leave it. ``prompt`` is
    what asks for the captions. ``keep_image`` stores an image and returns its sha256; it gets the images of what is
    kept, after all records have been checked. Scores that are left out are 1 and 0. Image paths are looked up as those
    of homologous items.

    ``threshold``, ``pairing`` and ``objective`` and the reasons are those of `preferences.build`. The threshold also
    finds the records of the released script that name the images of a record before. One reason is added, "gen: other
    item": an image from another item's folder, as the iterative script leaves it, which joins by position. A side
    that a record does not have is not missed where the objective does not look at it.

    Raises HermesError that names the record: an id twice, a value missing or of the wrong kind, an image not there.
    """
    drops: Counter[str] = Counter()
    kept: list[Preference] = []
    seen: dict[str, int] = {}
    for number, row in enumerate(json_values(path), 1):
        where = f"{path}: record {number}"
        found = _preference(row, prompt, where)
        first = seen.setdefault(found.item_id, number)
        if first != number:
            raise HermesError(f"{where} has the id {found.item_id!r} of record {first}; keep one of them")
        find = _finder(path, where)
        reasons = {side: reason for side in SIDES if (reason := _reason(found, side, threshold, find))}
        drops.update(f"{side}: {reason}" for side, reason in reasons.items())
        left = found.model_copy(update=dict.fromkeys(reasons))
        missed = [side for side, reason in reasons.items() if reason != NOTHING or side in sides_of(objective)]
        if OBJECTIVES[objective].usable(left.und is not None, left.gen is not None) and (
            pairing == "either" or not missed
        ):
            kept.append(_with_images(left, find))
        elif left.und or left.gen:
            drops["unpaired"] += 1

    def store(file: str, key: str, item: str) -> str:
        return keep_image(ImageHandle(file, where=f"{path.name}: {key} of item {item!r}, {file}").open())

    return [_with_images(preference, store) for preference in kept], dict(sorted(drops.items()))


def pair_candidates(preferences: Iterable[Preference]) -> list[Candidate]:
    """Winners and losers as candidates of their round, so that `preferences.raise_bars` can go on from them."""
    duels = [duel for preference in preferences for duel in (preference.und, preference.gen) if duel]
    return [candidate for duel in duels for candidate in (duel.winner, duel.loser)]


def _record(preference: Preference) -> dict[str, Any]:
    """The record of a preference whose images are paths."""
    record: dict[str, Any] = {"id": preference.id, "img_path": preference.image}
    record |= {"prompt": preference.caption, "caption": preference.caption}
    for side in SIDES:
        if duel := _duel_of(preference, side):
            content, score = KEYS[side]
            record |= {f"{content}_win": _content(duel.winner), f"{content}_lose": _content(duel.loser)}
            record |= {f"{score}_win": duel.winner.score, f"{score}_lose": duel.loser.score}
            plans = {"plan_win": duel.winner.plan, "plan_lose": duel.loser.plan}
            record |= {key: plan for key, plan in plans.items() if plan is not None}
            record |= {PROMPTS[side]: duel.winner.prompt} if duel.winner.prompt else {}
    return record


def _duel_of(preference: Preference, side: Side) -> Duel | None:
    return preference.und if side == "und" else preference.gen


def _content(candidate: Candidate) -> str:
    return (candidate.text if candidate.side == "und" else candidate.image) or ""


def _preference(row: Any, prompt: str, where: str) -> Preference:
    """The preference of a record, its images as the record names them. Raises HermesError where it is not one."""
    if not isinstance(row, Mapping):
        raise HermesError(f"{where} is not an object; write one object for each item")
    name = row.get("id")
    if isinstance(name, bool) or not isinstance(name, str | int) or name == "" or not _encodes(str(name)):
        raise HermesError(f"{where}: the id must be text or a whole number, not {name!r:.40}; fix it")
    item = str(name)
    return Preference(
        item_id=item,
        round=1,
        image=_text(row, "img_path", where),
        caption=_text(row, "caption" if row.get("caption") else "prompt", where),
        prompt=_prompt(row, "und", where) or prompt,
        und=_duel(row, item, "und", where),
        gen=_duel(row, item, "gen", where),
    )


def _duel(row: Mapping[str, Any], item: str, side: Side, where: str) -> Duel | None:
    """Winner and loser of a side as the record has them; None where it has neither."""
    content, score = KEYS[side]
    if not _has_both(row, content, where):
        return None
    scored = _has_both(row, score, where)

    def candidate(end: str, otherwise: float) -> Candidate:
        value = _text(row, f"{content}_{end}", where)
        return Candidate(
            item_id=item,
            side=side,
            round=1,
            index=0,
            seed=0,
            score=_number(row, f"{score}_{end}", where) if scored else otherwise,
            text=value if side == "und" else None,
            image=value if side == "gen" else None,
            plan=_plan(row, end, where) if side == "gen" else None,
            prompt=_prompt(row, side, where),
        )

    return Duel(winner=candidate("win", 1.0), loser=candidate("lose", 0.0))


def _prompt(row: Mapping[str, Any], side: Side, where: str) -> str | None:
    key = PROMPTS[side]
    return _text(row, key, where) if row.get(key) is not None else None


def _plan(row: Mapping[str, Any], end: str, where: str) -> str | None:
    value = row.get(f"plan_{end}")
    if value is None or (isinstance(value, str) and _encodes(value)):
        return value
    raise HermesError(f"{where}: plan_{end} is not text; fix it or leave it out")


def _has_both(row: Mapping[str, Any], key: str, where: str) -> bool:
    win, lose = (row.get(f"{key}_{end}") is not None for end in ("win", "lose"))
    if win != lose:
        raise HermesError(f"{where} has only one of {key}_win and {key}_lose; give both or neither")
    return win


def _text(row: Mapping[str, Any], key: str, where: str) -> str:
    """A text; only a caption that a model wrote may be empty."""
    value = row.get(key)
    if isinstance(value, str) and _encodes(value) and (value or key.startswith("caption_")):
        return value
    raise HermesError(f"{where}: {key} is missing or is not text; fix it")


def _encodes(text: str) -> bool:
    """False for halves of characters, which JSON can spell and UTF-8 cannot."""
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


def _number(row: Mapping[str, Any], key: str, where: str) -> float:
    value = row[key]
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= BOUND:
        raise HermesError(f"{where}: {key} must be a number of at most 1; fix it")
    return float(value)


def _reason(preference: Preference, side: Side, threshold: float, find: Finder) -> str | None:
    """Why a side gives no pair, or None where it does."""
    duel = _duel_of(preference, side)
    if duel is None:
        return NOTHING
    ends = (duel.winner, duel.loser)
    if side == "gen" and any(_elsewhere(_content(end), preference.item_id) for end in ends):
        return "other item"
    reason = verdict(ends, threshold if side == "gen" else None)
    if reason is None and side == "gen" and _one_picture(preference.item_id, ends, find):
        return "tie"
    return reason


def _one_picture(item: str, ends: tuple[Candidate, Candidate], find: Finder) -> bool:
    """Whether winner and loser show the same picture, however their files differ."""
    pictures = []
    for end, key in zip(ends, ("image_win", "image_lose"), strict=True):
        file = find(_content(end), key, item)
        pictures.append(pixel_sha256(ImageHandle(file, where=f"{key} of item {item!r}, {file}").open()))
    return pictures[0] == pictures[1]


def _elsewhere(image: str, item: str) -> bool:
    """Whether a path has the form of the released scripts, generated_images*/ID/NUMBER.png, with another id."""
    folders = PurePosixPath(image).parts[:-1]
    return any(outer.startswith(GENERATED) and inner != item for outer, inner in pairwise(folders))


def _finder(file: Path, where: str) -> Finder:
    """Finds the images of a record. Raises HermesError for one that is not there."""
    root = image_root()

    def find(value: str, key: str, item: str) -> str:
        with suppress(OSError):  # A name may be too long for the file system.
            found = image_path(value, file.parent, root)
            if Path(found).is_file():
                return found
        raise HermesError(f"{where}: {key} {value!r} is not there; put it beside {file.name} or set {IMAGE_ROOT}")

    return find


def _with_images(preference: Preference, change: Finder) -> Preference:
    """Every image replaced by ``change(image, key of the record, item id)``."""
    item, gen = preference.item_id, preference.gen
    real = change(preference.image, "img_path", item)
    if gen:
        winner, loser = (
            one.model_copy(update={"image": change(_content(one), f"image_{end}", item)})
            for one, end in ((gen.winner, "win"), (gen.loser, "lose"))
        )
        gen = Duel(winner=winner, loser=loser)
    return preference.model_copy(update={"image": real, "gen": gen})
