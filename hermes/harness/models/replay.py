"""A model that answers what is stored: in a run folder, in the folder of one of its tasks, or in a file."""

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from typing import ClassVar

from hermes.harness.contracts.model import Drew, Said
from hermes.harness.models.replay_files import Stored, read_stored
from hermes.harness.records.images import ImageHandle
from hermes.harness.records.types import DECODING, Ability, ModelInfo, Request
from hermes.harness.system.errors import HermesError
from hermes.harness.system.registry import split_reference

KINDS: dict[Ability, str] = {"understanding": "text", "generation": "image", "editing": "image"}


class NotStored(LookupError):
    """There is no stored answer to one request."""


class ReplayModel:
    """Answers each request with what is stored under its sample id and index, to the same prompt where that is known.

    Sample ids may repeat between the tasks of a run: of several answers to one prompt that with the request's seed is
    taken, which no two tasks share. A request without an answer is an error of that request.
    """

    abilities: ClassVar[tuple[Ability, ...]] = ("understanding", "generation", "editing")
    parameters: ClassVar[str] = "0"
    description: ClassVar[str] = "answers stored before: replay:RUN, replay:RUN/TASK or replay:responses.jsonl"
    extra: ClassVar[str | None] = None
    alignable: ClassVar[bool] = False
    uses_torch: ClassVar[bool] = False
    decoding: ClassVar[tuple[str, ...]] = DECODING

    def __init__(self, stored: Sequence[Stored]) -> None:
        self._stored: dict[tuple[str, int], list[Stored]] = defaultdict(list)
        for answer in stored:
            self._stored[answer.sample_id, answer.index].append(answer)
        held = {answer.kind for answer in stored}
        self.info = ModelInfo(
            name="replay",
            fingerprint=_fingerprint(stored),
            abilities=tuple(ability for ability, kind in KINDS.items() if kind in held),
        )

    @classmethod
    def load(cls, reference: str, device: str) -> "ReplayModel":
        """The answers of "replay:<path>". Raises HermesError where there are none or a line cannot be read."""
        return cls(read_stored(split_reference(reference)[1]))

    def understand(self, requests: Sequence[Request]) -> list[str]:
        """The stored texts. Raises NotStored for the first request that has none."""
        found = [self._find(request, "text") for request in requests]
        return [Said(answer.content, answer.truncated, answer.prompt_cut) for answer in found]

    def generate(self, requests: Sequence[Request]) -> list[Drew]:
        """The stored images. Raises NotStored for the first request that has none, ImageError where one is broken."""
        pictures: list[Drew] = []
        for answer in [self._find(request, "image") for request in requests]:
            if isinstance(answer.image, ImageHandle):
                picture = answer.image.open()
                pictures.append(Drew(picture, answer.prompt_cut, answer.plan, answer.truncated))
        return pictures

    def _find(self, request: Request, kind: str) -> Stored:
        where = f"{request.sample_id}, index {request.index}"
        found = self._stored.get((request.sample_id, request.index))
        if not found:
            raise NotStored(f"no answer is stored for {where}")
        prompt = hashlib.sha256(request.prompt.encode()).hexdigest()
        fitting = [answer for answer in found if answer.prompt_sha256 in (None, prompt)]
        if not fitting:
            raise NotStored(f"the answer stored for {where} is to another prompt")
        own = [answer for answer in fitting if answer.seed == request.seed] or fitting
        wanted = [answer for answer in own if answer.kind == kind]
        if not wanted:
            raise NotStored(f"what is stored for {where} is {own[0].kind}, not {kind}: {own[0].content}")
        if len({answer.content for answer in wanted}) > 1:
            raise HermesError(
                f"replay: {where} is answered in several ways, as in {wanted[0].where} and {wanted[1].where}; "
                "give the folder or file of one task"
            )
        return wanted[0]


def _fingerprint(stored: Sequence[Stored]) -> str:
    """Sixteen hexadecimal digits over all answers; neither their order nor where they lie counts."""
    lines = {repr((a.sample_id, a.index, a.prompt_sha256, a.seed, a.kind, a.content)) for a in stored}
    return hashlib.sha256("\n".join(sorted(lines)).encode(errors="surrogatepass")).hexdigest()[:16]
