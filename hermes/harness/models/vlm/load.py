"""A transformers checkpoint to a VLM: loaded whole or not at all; code that it brings is never run."""

from pathlib import Path
from typing import Any

import transformers
from huggingface_hub import hf_hub_download
from transformers.models.auto import modeling_auto

from hermes.harness.contracts.options import PLAIN, LoadOptions
from hermes.harness.models.adapters import merge_adapter
from hermes.harness.models.pretrained import loading, read_config, read_network
from hermes.harness.models.source import Source
from hermes.harness.models.vlm.ask import conversation
from hermes.harness.models.vlm.model import VLM, Prompt
from hermes.harness.system import hub
from hermes.harness.system.errors import HermesError


def load_vlm(
    source: Source,
    device: str,
    who: str,
    plain: bool = False,
    options: LoadOptions = PLAIN,
    model_type: str | None = None,
) -> tuple[VLM, str | None]:
    """The model of a folder or hub id, and the hub's commit where it came from there.

    In bfloat16 on CUDA and in float32 elsewhere unless ``options`` say more. ``plain``: one that has no chat template
    is asked without one. ``model_type``: the only one that is taken. Raises HermesError, which begins with ``who``, for
    what is missing, incomplete, of another type, unknown to transformers, or wants to run its own code.
    """
    auto_processor: Any = transformers.AutoProcessor
    name = source.name
    if not source.local:
        hub.unreachable()
    with loading(f"{who}: {name}"):
        commit = (
            None if source.local else Path(hf_hub_download(name, "config.json", revision=source.revision)).parent.name
        )
        pinned: dict[str, Any] = {"revision": commit, "trust_remote_code": False}
        config = read_config(name, who, pinned, model_type)
        auto, answers_only = _auto_class(config, who)
        processor = auto_processor.from_pretrained(name, **pinned)
        _refuse_incomplete_processor(processor, name, who)
        prompt = _prompt(processor, answers_only, plain, f"{who}: {name}")
        model = read_network(auto, name, device, options, pinned, who)
    tokenizer = processor.tokenizer
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    if not answers_only and not model.config.is_encoder_decoder:
        tokenizer.padding_side = "left"
    if options.adapter:
        model = merge_adapter(model, options.adapter, who)
    if not options.device_map:
        model = model.to(device)
    return VLM(model.eval(), processor, prompt, answers_only, who), commit


def refuse_untrainable(source: Source, who: str, model_type: str | None = None) -> None:
    """Raise HermesError, which begins with ``who``, for a model without a next-token likelihood of what it answers.

    Its config.json alone is read.
    """
    name = source.name
    with loading(f"{who}: {name}"):
        config = read_config(name, who, {"revision": source.revision, "trust_remote_code": False}, model_type)
    if _auto_class(config, who)[1] or config.is_encoder_decoder:
        raise HermesError(
            f"{who}: {name} answers from a decoder of its own and cannot be trained by preferences; use a chat model"
        )


def _auto_class(config: Any, who: str) -> tuple[Any, bool]:
    """The class that loads the checkpoint, and whether it is a question-answering model without chat.

    Several model types have both kinds; which one a checkpoint is stands in ``architectures``.
    """
    asking = modeling_auto.MODEL_FOR_VISUAL_QUESTION_ANSWERING_MAPPING_NAMES.values()
    talking = modeling_auto.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES
    own = (config.architectures or [None])[0]
    if own in asking and own not in talking.values():
        return transformers.AutoModelForVisualQuestionAnswering, True
    if config.model_type not in talking:
        raise HermesError(
            f"{who}: {config.model_type!r} is not an image-to-text model of transformers {transformers.__version__}; "
            "use one that is"
        )
    return transformers.AutoModelForImageTextToText, False


def _refuse_incomplete_processor(processor: Any, name: str, who: str) -> None:
    if not (hasattr(processor, "tokenizer") and hasattr(processor, "image_processor")):
        raise HermesError(f"{who}: {name} has no processor for images and text; add its preprocessor_config.json")
    # Where a tokenizer's files are missing, transformers makes some classes with an empty vocabulary.
    token, words = getattr(processor, "image_token", None), processor.tokenizer
    if token and words.convert_tokens_to_ids(token) in (None, words.unk_token_id):
        raise HermesError(f"{who}: the tokenizer of {name} does not know {token!r}; download its files again")


def _prompt(processor: Any, answers_only: bool, plain: bool, where: str) -> Prompt:
    """How a prompt becomes the text that the processor takes: through its chat template where it has one."""
    if answers_only:
        return lambda prompt, images: prompt
    # Chameleon's processor closes the user's turn itself. Its authors' example has the image before the question.
    if isinstance(processor, transformers.ChameleonProcessor):
        return lambda prompt, images: str(processor.image_token) * images + prompt
    if getattr(processor, "chat_template", None):
        return lambda prompt, images: str(
            processor.apply_chat_template(conversation(prompt, images), add_generation_prompt=True)
        )
    # BLIP-2 and InstructBLIP know no chat, and put their image tokens before the text themselves.
    if hasattr(processor, "num_query_tokens"):
        return lambda prompt, images: prompt
    if not plain:
        raise HermesError(f"{where} has no chat template; add the chat_template.jinja that it was published with")
    token = getattr(processor, "image_token", None)
    return lambda prompt, images: f"{token}\n" * images + prompt if token else prompt
