"""The preference pairs of one round of a self-play, and what its training said of itself step by step."""

from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import from_json

from hermes.harness.records.images import ImageHandle
from hermes.viewer.details import clean, said
from hermes.viewer.pictures import Pictures
from hermes.viewer.rows import short

PREFERENCES, LOG = "preferences.jsonl", "train.jsonl"


class _Read(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class _Candidate(_Read):
    score: float
    text: str | None = None
    image: str | None = None
    plan: str | None = None
    prompt: str | None = None
    again: bool = False


class _Duel(_Read):
    """A winner that is its own loser stands for itself: it has no margin, and no loser is shown."""

    winner: _Candidate
    loser: _Candidate

    @property
    def margin(self) -> float | None:
        return None if self.winner == self.loser else self.winner.score - self.loser.score


class _Pair(_Read):
    item_id: str
    image: str
    caption: str
    und: _Duel | None = None
    gen: _Duel | None = None


class Pairs:
    """The pairs of a round: short lists in memory, the rest read again where it is wanted."""

    def __init__(self, folder: Path, number: int) -> None:
        self._path = folder / f"round-{number}" / PREFERENCES
        self._media = folder / "media"
        self._starts = array("Q")
        self.ids: list[str] = []
        self.captions: list[str] = []
        self.margins: dict[str, list[float | None]] = {"und": [], "gen": []}
        self.problems: list[str] = []
        start = 0
        with self._path.open("rb") as file:
            for place, line in enumerate(file, 1):
                try:
                    pair = _Pair.model_validate_json(line)
                except ValidationError:
                    self.problems.append(f"{self._path} line {place} is no preference")
                else:
                    self._starts.append(start)
                    self.ids.append(pair.item_id)
                    self.captions.append(short(pair.caption))
                    for side, duel in (("und", pair.und), ("gen", pair.gen)):
                        self.margins[side].append(duel.margin if duel else None)
                start += len(line)

    def __len__(self) -> int:
        return len(self.ids)

    def pairs(self, places: Sequence[int], pictures: Pictures) -> list[dict[str, Any]]:
        """All that is known of some pairs."""
        found = []
        with self._path.open("rb") as file:
            for place in places:
                file.seek(self._starts[place])
                pair = _Pair.model_validate_json(file.readline())
                found.append(
                    {
                        "id": pair.item_id,
                        "caption": clean(pair.caption),
                        "real": self._picture(pair.image, pictures),
                        "own": bool(pair.und and pair.und.winner.image),
                        "question": said(pair.und.winner.prompt if pair.und else None),
                        "told": said(pair.gen.winner.prompt if pair.gen else None),
                        "again": bool(pair.gen and pair.gen.winner.again),
                        "und": self._duel(pair.und, pictures),
                        "gen": self._duel(pair.gen, pictures),
                    }
                )
        return found

    def _duel(self, duel: _Duel | None, pictures: Pictures) -> dict[str, Any] | None:
        if duel is None:
            return None
        return {
            name: {
                "score": one.score,
                "text": said(one.text),
                "image": self._picture(one.image, pictures) if one.image else None,
                "plan": said(one.plan),
            }
            for name, one in (("winner", duel.winner), ("loser", duel.loser))
            if name == "winner" or duel.margin is not None
        }

    def _picture(self, digest: str, pictures: Pictures) -> dict[str, Any]:
        path = self._media / f"{Path(digest).name}.png"
        return pictures.shown(ImageHandle(path, where=str(path)))


def training_log(folder: Path, number: int) -> Path:
    """The step log of a round."""
    return folder / f"round-{number}" / "training" / LOG


def steps(path: Path) -> dict[str, list[float | None]]:
    """The figures of all steps, a list each; lines that are none are passed over."""
    lines = []
    for line in path.read_bytes().splitlines():
        try:
            entry = from_json(line)
        except ValueError:
            continue
        if isinstance(entry, dict):
            lines.append(entry)
    names = dict.fromkeys(name for entry in lines for name in entry)
    return {name: [entry.get(name) for entry in lines] for name in names}
