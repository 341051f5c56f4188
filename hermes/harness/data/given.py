"""One answer that was made anywhere, as its file has it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hermes.harness.contracts.published import MME_SUFFIX
from hermes.harness.records.images import ImageHandle

IMAGE_MARK = "<image>"


@dataclass(frozen=True, slots=True)
class Given:
    """One answer; exactly one of text, image and judgement is there. ``where`` names its line or file.

    ``told`` is the row that the answers themselves say they belong to, ``asked`` the question and ``gold`` the right
    answer, where they do.
    """

    id: str
    index: int
    where: str
    text: str | None = None
    image: ImageHandle | None = None
    judgement: Mapping[str, Any] | None = None
    told: Mapping[str, Any] | None = None
    asked: str = ""
    gold: str = ""

    @property
    def key(self) -> str:
        """What no two answers share."""
        return f"{self.index}/{self.id}\n{self.asked}"


def question_of(prompt: Any) -> str:
    """The question that a prompt asks, without what a protocol adds to it: its first line."""
    lines = str(prompt or "").replace(IMAGE_MARK, "").replace(MME_SUFFIX, "").strip().splitlines()
    return lines[0].strip() if lines else ""
