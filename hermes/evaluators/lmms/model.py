"""Hermes models in lmms-eval's own command: lmms-eval --model hermes --model_args pretrained=NAME_OR_FOLDER."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from lmms_eval.api.model import lmms

from hermes.evaluators.lmms.requests import cut, generation_config, pictures
from hermes.evaluators.lmms.tasks import MODEL_NAME
from hermes.harness.records.images import ImageHandle
from hermes.harness.records.seeds import derive_seed
from hermes.harness.records.types import Request
from hermes.harness.run.attempts import IN_A_ROW, Attempts
from hermes.harness.run.failing import Reasons, told
from hermes.harness.system.errors import HermesError
from hermes.harness.system.text import say

AUTO_BATCH = 64


def manifest() -> Any:
    """The ``ModelManifest`` behind lmms-eval's entry point; made when asked for, as its registry loads this module."""
    from lmms_eval.models.registry_v2 import ModelManifest

    return ModelManifest(MODEL_NAME, simple_class_path=f"{__name__}.{HermesLMM.__name__}")


class HermesLMM(lmms):  # type: ignore[misc]
    """A Hermes model that answers lmms-eval's generate_until requests as `hermes eval --tasks lmms:NAME` would.

    ``pretrained``: a registered name or a checkpoint folder; ``seed``: the run's seed; ``max_failures``: the command
    ends after so many failures in a row, 0 is never. Any other failure is an empty answer, and the reasons are said.
    The task's generation_kwargs win over the model's defaults, seeds are derived from (seed, task, document, repeat),
    answers end at ``until``.
    """

    is_simple = True

    def __init__(
        self,
        pretrained: str = "hermes-tiny",
        device: str | None = None,
        batch_size: int | str = 1,
        max_batch_size: int | None = None,
        seed: int = 0,
        max_failures: int = IN_A_ROW,
    ) -> None:
        from accelerate import Accelerator

        from hermes.harness.run.loading import load_model

        super().__init__()
        self.accelerator = Accelerator()
        self._rank, self._world_size = self.accelerator.process_index, self.accelerator.num_processes
        self.model = load_model(pretrained, device or "auto")
        if "understanding" not in self.model.info.abilities:
            raise HermesError(f"model {pretrained!r} draws images only; lmms-eval asks questions, give another model")
        self.batch_size = AUTO_BATCH if str(batch_size) == "auto" else int(batch_size)
        self.seed, self.max_failures = int(seed), int(max_failures)

    @property
    def device(self) -> Any:
        """Where lmms-eval puts its own tensors when several processes share a run."""
        return self.accelerator.device

    def generate_until(self, requests: Sequence[Any]) -> list[str]:
        """One text for each request, in order; repeats of a document are drawn with different seeds."""
        from tqdm import tqdm  # type: ignore[import-untyped]

        seen: Counter[tuple[str, str, int]] = Counter()
        indices = []
        for instance in requests:
            key = instance.args[-2:] + instance.args[-3:-2]
            indices.append(seen[key])
            seen[key] += 1
        answers: list[str] = []
        reasons, failed = Reasons(), 0

        def no_answer(_: Request, reason: str) -> str:
            nonlocal failed
            reasons.add(reason)
            failed += 1
            return ""

        attempts = Attempts(self.model.understand, no_answer, MODEL_NAME, "answers", say, self.max_failures)
        with tqdm(total=len(requests), desc="Model Responding", disable=self.rank != 0) as bar:
            for start in range(0, len(requests), self.batch_size):
                batch = requests[start : start + self.batch_size]
                numbered = zip(batch, indices[start:], strict=False)
                texts = list(attempts.results([self._request(instance, index) for instance, index in numbered]))
                _end_if_all_failed(attempts, failed == len(requests), reasons)
                for instance, text in zip(batch, texts, strict=True):
                    context, kwargs = instance.args[:2]
                    answers.append(cut(text, kwargs))
                    self.cache_hook.add_partial("generate_until", (context, kwargs), answers[-1])
                bar.update(len(batch))
        for one in told(reasons.commonest(), failed):
            say(f"{MODEL_NAME}: {one}; lmms-eval scores these as empty answers")
        return answers

    def _request(self, instance: Any, index: int) -> Request:
        context, kwargs, doc_to_visual, document, task, split = instance.args
        where = f"lmms:{task} {document}"
        sources = pictures(doc_to_visual(self.task_dict[task][split][document]), where)
        own = generation_config(kwargs).model_dump(exclude_none=True)
        return Request(
            sample_id=str(document),
            index=index,
            prompt=context,
            images=tuple(ImageHandle(source, where) for source in sources),
            config=self.model.info.defaults.model_copy(update={**own, "seed": self.seed}),
            seed=derive_seed(self.seed, f"lmms:{task}", document, index, "draw"),
        )

    def loglikelihood(self, requests: Sequence[Any]) -> list[tuple[float, bool]]:
        raise NotImplementedError("Hermes models answer in words: choose a task with output_type generate_until.")

    def generate_until_multi_round(self, requests: Sequence[Any]) -> list[str]:
        raise NotImplementedError("Hermes models answer one question at a time: choose a task of one round.")


def _end_if_all_failed(attempts: Attempts[Request, str], all_failed: bool, reasons: Reasons) -> None:
    """End the command where nothing was answered: lmms-eval would print any other error and exit with 0."""
    try:
        attempts.refuse_more()
        if all_failed:
            why = "; ".join(told(reasons.commonest(), 0))
            raise HermesError(f"no answer could be given: {why}; fix the cause and run the same command again")
    except HermesError as error:
        say(f"hermes: {error}")
        raise SystemExit(2) from None
