"""--rewrite: prompts that another model writes anew before they are drawn, asked once and stored like any answer.

    <root>/answers/<rewriter>-<id>/rewrite-<id>/responses.<rank>.jsonl

A rewritten prompt is shown to the model that draws, and to nobody else. It stands in the samples, so it is part of
their fingerprint, and with that of the run's id: a row with rewritten prompts is never ranked with one without.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from hermes.harness.contracts.chains import Chained
from hermes.harness.contracts.options import LoadOptions
from hermes.harness.contracts.reasoning import without_reasoning
from hermes.harness.data.rewritten import rewritten
from hermes.harness.records.journal import Index
from hermes.harness.records.keys import asked_of, config_mark, digest, request_key
from hermes.harness.records.seeds import answer_seed
from hermes.harness.records.stored_samples import read_samples
from hermes.harness.records.types import REWRITTEN, GenerationConfig, Request, Response, Sample
from hermes.harness.run.drawing import draw
from hermes.harness.run.loading import load_model
from hermes.harness.run.plan import Task, column_of
from hermes.harness.run.settings import EvalSettings
from hermes.harness.run.stores import asked_identity, code_version, model_identity, open_store
from hermes.harness.system.errors import HermesError
from hermes.harness.system.failures import free_memory, machine_failure
from hermes.harness.system.processes import current
from hermes.harness.system.progress import Progress

NAME, VERSION = "rewrite", "1"
TOKENS = 512
PLACE = "{prompt}"
INSTRUCTION = (
    "Rewrite the prompt below for a text-to-image model. Keep every object, number, color, position and relation, and "
    "every quoted word, as it is. Say plainly what is only implied, and add what helps to see the picture: how things "
    "look, where they are, light and style. Answer with the rewritten prompt alone, in one paragraph of at most 120 "
    "words.\n\n"
    f"Prompt: {PLACE}"
)


def with_rewritten(tasks: Sequence[Task], settings: EvalSettings, root: Path, progress: Progress) -> list[Task]:
    """The tasks, those that draw with the prompts that --rewrite's model has written.

    The rewriter is loaded before the evaluated model and let go of. All processes must call. Raises HermesError where a
    prompt could not be rewritten; those that could are kept.
    """
    if settings.rewrite is None:
        return list(tasks)
    drawing = [task for task in tasks if task.evaluator.ability == "generation"]
    for task in drawing:
        if isinstance(task.evaluator, Chained):
            raise HermesError(f"task {task.name!r} draws from what the model says itself; leave it or --rewrite out")
    if not drawing:
        raise HermesError("--rewrite is for tasks that draw, and none of these does; leave it out")
    if column_of(settings.rewrite):
        return list(tasks)
    wording = instruction_of(settings.rewrite_instruction)
    found = _asked(drawing, settings, wording, root, progress)
    return [found.get(task.name, task) for task in tasks]


def drawn_anew(task: Task, rewrite: str) -> bool:
    """Whether what the task asks is known only once another model has written its prompts."""
    return task.evaluator.ability == "generation" and not column_of(rewrite)


def as_stored(task: Task, samples: Path, rewriter: dict[str, str]) -> Task:
    """The task with the prompts that a finished run was shown, from the file of its samples."""
    if "column" in rewriter:
        return task
    texts = {sample.id: sample.metadata.get(REWRITTEN, sample.prompt) for sample in read_samples(samples)}
    data = rewritten(task.data, lambda chunk: [texts.get(sample.id, sample.prompt) for sample in chunk])
    return replace(task, data=data, rewriter=rewriter)


def instruction_of(file: Path | None) -> str:
    """What the rewriter is told: a file's text, or ours. Raises HermesError for one without a place for the prompt."""
    if file is None:
        return INSTRUCTION
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise HermesError(f"--rewrite-instruction {file} cannot be read: {machine_failure(error) or error}") from None
    if PLACE not in text:
        raise HermesError(f"--rewrite-instruction {file} has no {PLACE}, the place of the prompt; add it")
    return text


def _asked(
    tasks: Sequence[Task], settings: EvalSettings, wording: str, root: Path, progress: Progress
) -> dict[str, Task]:
    """Ask for what is not stored yet. The tasks come back by name, their prompts looked up in the store when needed."""
    options = LoadOptions(dtype=settings.dtype, device_map=settings.device_map)
    model = load_model(str(settings.rewrite), settings.device, options, progress)
    if "understanding" not in model.info.abilities:
        raise HermesError(
            f"--rewrite {settings.rewrite} answers no questions, so it rewrites nothing; give another one"
        )
    config = model.info.defaults.model_copy(update={"max_new_tokens": TOKENS, "num_images": 1, "seed": settings.seed})
    code = code_version(model)
    identity = {**model_identity(model.info, code), "name": model.info.name, "instruction": digest(wording).hex()[:12]}
    with open_store(root, model.info, code, asked_identity(NAME, VERSION, config), progress.say) as store:
        current().wait()
        for task in tasks:
            wanted = _requests(task.data.samples, config, wording)
            try:
                draw(
                    model,
                    wanted,
                    task.data.info.n,
                    store,
                    settings.batch_size,
                    progress,
                    f"{NAME} {task.name}",
                    "understanding",
                    max_failures=settings.max_failures,
                )
            except HermesError as error:
                raise HermesError(f"--rewrite {settings.rewrite} cannot write prompts anew: {error}") from error
            current().wait()
        index = store.responses.index()
        current().wait()
    del model
    free_memory()
    texts = partial(_texts, index, config, wording)
    return {task.name: replace(task, data=rewritten(task.data, texts), rewriter=identity) for task in tasks}


def _requests(samples: Iterable[Sample], config: GenerationConfig, wording: str) -> Iterator[Request]:
    """One for each prompt; the same prompt is asked once."""
    seen: set[str] = set()
    for sample in samples:
        request = _request(sample.prompt, config, wording)
        if request.key not in seen:
            seen.add(request.key)
            yield request


def _request(prompt: str, config: GenerationConfig, wording: str) -> Request:
    name, text = digest(prompt).hex(), wording.replace(PLACE, prompt)
    seed = answer_seed(config.seed, NAME, name, 0)
    key = request_key(name, 0, seed, asked_of(text, ()), config_mark(config))
    return Request(key=key, sample_id=name, index=0, prompt=text, config=config, seed=seed)


def _texts(index: Index[Response], config: GenerationConfig, wording: str, samples: Sequence[Sample]) -> list[str]:
    """What was made of these prompts. Raises HermesError for the first of which nothing was made."""
    keys = [_request(sample.prompt, config, wording).key for sample in samples]
    texts = []
    for sample, response in zip(samples, index.get(keys), strict=True):
        text = without_reasoning(response.text) if response and response.text else ""
        if not text:
            why = (response.error if response else "") or "the answer is empty"
            raise HermesError(
                f"the prompt of {sample.id} was not rewritten ({why}); run the command again, which asks for what is "
                "missing, or give another --rewrite"
            )
        texts.append(text)
    return texts
