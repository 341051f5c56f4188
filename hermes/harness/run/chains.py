"""Chains of answers, generation by generation: each step asks about the stored answers of the step before it.

The keys of a chain's answers are those of any sample's, so all that finds answers finds these. What a step was asked
about is told by the answer's ``content``, the key with its prompt and its picture's hash in it: an answer to another
description or picture than the stored one is none, and is asked for again.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import cast

from hermes.harness.contracts.chains import Chained
from hermes.harness.contracts.model import UnifiedModel
from hermes.harness.records.images import ImageHandle
from hermes.harness.records.store import Store
from hermes.harness.records.types import GenerationConfig, Request, Response
from hermes.harness.run.drawing import LOOK_UP, Drawn, draw, failed
from hermes.harness.run.plan import Keyed, Task, keyed, request_of
from hermes.harness.run.samples import written
from hermes.harness.run.settings import EvalSettings
from hermes.harness.system.errors import ImageError
from hermes.harness.system.processes import current
from hermes.harness.system.progress import Progress
from hermes.harness.system.sharing import chunks

ENDED = "the chain ended at generation "


def step_label(task: Task, index: int) -> str:
    """What a step is called while it is under way."""
    return f"{task.name} generation {index + 1}"


@dataclass
class Chains:
    """The chains of a task; ``lost`` counts stored pictures that turned out damaged when they were to be described."""

    task: Task
    config: GenerationConfig
    store: Store
    lost: int = field(default=0, init=False)

    @property
    def _evaluator(self) -> Chained:
        return cast(Chained, self.task.evaluator)

    def draw(
        self, model: UnifiedModel, settings: EvalSettings, progress: Progress, before: Callable[[], object]
    ) -> Drawn:
        """Every answer that is not stored, a generation after the other; all processes share each."""
        found = Drawn(0, 0)
        for index in range(self.config.num_images):
            found += draw(
                model,
                self._requests(index),
                self.task.data.info.n,
                self.store,
                settings.batch_size,
                progress,
                step_label(self.task, index),
                self._evaluator.ability_at(index),
                pinned=bool(index) or self.task.pinned,
                before=before,
                max_failures=settings.max_failures,
                linked=bool(index),
            )
        self.lost = current().total(self.lost)
        return found

    def _requests(self, index: int) -> Iterator[Request]:
        """What a step asks, in sample order, of the chains that have come to it."""
        if index == 0:
            config = self._settings(index)
            samples = written(self.task, self.config, self.store)
            return (request_of(one, config) for one in samples if one.number == 0)
        stored = self.store.responses.index()  # as of now: nobody writes before all have this
        return self._following(index, stored.get)

    def _following(self, index: int, get: Callable[[list[str]], list[Response | None]]) -> Iterator[Request]:
        config, main = self._settings(index), current().main
        for chunk in chunks(_pairs(self.task, self.config, index), LOOK_UP):
            answers = get([before.key for before, _ in chunk])
            ended: list[tuple[Keyed, str]] = []
            for (_, one), answer in zip(chunk, answers, strict=True):
                if answer is None or (why := _end(answer, index)):
                    ended.append((one, why if answer else f"{ENDED}{index}: it has no answer"))
                    continue
                said = answer.text if answer.text is not None else self._picture(answer)
                prompt, images = self._evaluator.step(one.sample, index, said)
                request = request_of(one, config)
                yield request.model_copy(update={"prompt": prompt, "images": images})
            if ended and main:
                self._end([(request_of(one, config), why) for one, why in ended], get)

    def _end(self, ended: list[tuple[Request, str]], get: Callable[[list[str]], list[Response | None]]) -> None:
        """Store of chains that have ended that they have no further answer, unless that is stored."""
        known = get([request.key for request, _ in ended])
        self.store.responses.append(
            failed(request, why)
            for (request, why), old in zip(ended, known, strict=True)
            if old is None or old.error != why
        )

    def _picture(self, response: Response) -> ImageHandle:
        """A stored picture that is looked at only where it is what was drawn."""
        stored = self.store.image(response)

        def read() -> bytes:
            if not self.store.verified(response):
                self.lost += 1
                raise ImageError(f"{stored.where}: the stored picture is damaged; run the same command again")
            return stored.source.read_bytes()  # type: ignore[no-any-return]

        return ImageHandle(read, where=stored.where, hashed=response.image or "")

    def _settings(self, index: int) -> GenerationConfig:
        """The settings of a step: those of descriptions are the benchmark's, unless the task's name has others."""
        if self._evaluator.ability_at(index) == "generation":
            return self.config
        own = self._evaluator.describing.model_dump(include={"max_new_tokens", "temperature"})
        return self.config.model_copy(
            update={**own, **{key: self.task.overrides[key] for key in own if key in self.task.overrides}}
        )


def _pairs(task: Task, config: GenerationConfig, index: int) -> Iterator[tuple[Keyed, Keyed]]:
    """Each sample's answer before this one, and this one."""
    before: Keyed | None = None
    for one in keyed(task, config):
        if one.number == index and before is not None:
            yield before, one
        before = one


def _end(before: Response, index: int) -> str:
    """Why there is nothing to ask after this answer; "" where there is something."""
    if before.status == "error":
        said = before.error or "error"
        return said if said.startswith(ENDED) else f"{ENDED}{index}: {said}"
    if before.text is not None and not before.text.strip():
        return f"{ENDED}{index}: the description is empty"
    return ""
