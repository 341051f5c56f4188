"""A vision-language model of transformers: loaded whole or not at all, asked greedily in batches."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from huggingface_hub import hf_hub_download
from PIL import Image
from transformers.models.auto import modeling_auto

from hermes.harness.errors import HermesError, JudgeError
from hermes.harness.judges.replies import asked

BATCH = 16
MAX_NEW_TOKENS = 16


class VLM:
    """A model with its processor. ``answers_only``: a question-answering model, which takes the bare question."""

    def __init__(self, model: Any, processor: Any, device: str, answers_only: bool) -> None:
        self.batch_size = BATCH
        self._model = model
        self._processor = processor
        self._device = device
        self._answers_only = answers_only
        self._prompt = _prompts(processor, answers_only)

    def replies(self, images: Sequence[Image.Image], questions: Sequence[str]) -> list[str]:
        """The text that the model answers to each (image, question), in order.

        A batch that does not fit into the GPU's memory is halved, for good. Raises HermesError where one question alone
        does not fit, JudgeError where the model or its processor fails otherwise.
        """
        texts: dict[int, str] = {}
        for group in self._groups(questions):
            begin = 0
            while begin < len(group):
                batch = group[begin : begin + self.batch_size]
                try:
                    said = self._reply([images[i].convert("RGB") for i in batch], [questions[i] for i in batch])
                except torch.OutOfMemoryError:
                    self._halve(len(batch))
                    continue
                except (HermesError, KeyboardInterrupt):
                    raise
                except Exception as error:
                    reason = " ".join(f"{type(error).__name__}: {error}".split())
                    raise JudgeError(f"judge hf: {questions[batch[0]]!r} cannot be answered ({reason[:200]})") from None
                texts |= dict(zip(batch, said, strict=True))
                begin += len(batch)
        return [texts[i] for i in range(len(questions))]

    def _groups(self, questions: Sequence[str]) -> Iterator[list[int]]:
        """The numbers of questions that may share a batch.

        Question-answering models (BLIP) look at padding as if it were text, so only questions of one length do.
        """
        if not self._answers_only or not questions:
            yield list(range(len(questions)))
            return
        groups: dict[int, list[int]] = defaultdict(list)
        for number, ids in enumerate(self._processor.tokenizer(list(questions))["input_ids"]):
            groups[len(ids)].append(number)
        yield from groups.values()

    def _halve(self, size: int) -> None:
        if size == 1:
            raise HermesError("judge hf: one question alone does not fit into the GPU's memory; take a smaller model")
        self.batch_size = size // 2
        torch.cuda.empty_cache()

    @torch.inference_mode()
    def _reply(self, images: Sequence[Image.Image], questions: Sequence[str]) -> list[str]:
        texts = [self._prompt(question) for question in questions]
        bos = self._processor.tokenizer.bos_token
        once = {"add_special_tokens": False} if bos and texts[0].startswith(bos) else {}
        nested = [[image] for image in images]
        encoded = self._processor(images=nested, text=texts, padding=True, return_tensors="pt", **once)
        inputs = {key: self._moved(value) for key, value in encoded.items()}
        if not hasattr(self._model, "generate"):
            best = self._model(**inputs).logits.argmax(-1).tolist()
            return [self._model.config.id2label[number] for number in best]
        out = self._model.generate(**inputs, max_new_tokens=MAX_NEW_TOKENS, do_sample=False, num_beams=1)
        prompt = inputs["input_ids"]
        length = prompt.shape[1]
        if out.shape[1] >= length and torch.equal(out[:, :length], prompt):
            out = out[:, length:]
        said: list[str] = self._processor.tokenizer.batch_decode(out, skip_special_tokens=True)
        return said

    def _moved(self, value: Any) -> Any:
        if not isinstance(value, torch.Tensor):
            return value
        return value.to(self._device, self._model.dtype if value.is_floating_point() else None)


def load_vlm(name: str, revision: str | None, device: str) -> tuple[VLM, str | None]:
    """The model of a folder or hub id, and the hub's commit where it came from there.

    Raises HermesError for what is missing, incomplete, unknown to transformers, or wants to run its own code.
    """
    dtype = torch.bfloat16 if device.startswith("cuda") else torch.float32
    auto_processor: Any = transformers.AutoProcessor
    try:
        commit = (
            None if Path(name).is_dir() else Path(hf_hub_download(name, "config.json", revision=revision)).parent.name
        )
        pinned: dict[str, Any] = {"revision": commit, "trust_remote_code": False}
        config = transformers.AutoConfig.from_pretrained(name, **pinned)
        auto, answers_only = _auto_class(config)
        processor = auto_processor.from_pretrained(name, **pinned)
        model, info = auto.from_pretrained(name, dtype=dtype, output_loading_info=True, **pinned)
    except HermesError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        if "custom code" in reason:
            reason = "it brings its own code, which is never run; take a model that transformers knows"
        raise HermesError(f"judge hf: {name} cannot be loaded ({reason[:300]})") from None
    absent = sorted({*info["missing_keys"], *(key for key, *_ in info["mismatched_keys"])})
    if absent:
        raise HermesError(f"judge hf: the weights of {name} lack {len(absent)} tensors, as {absent[0]}; get them again")
    if not (hasattr(processor, "tokenizer") and hasattr(processor, "image_processor")):
        raise HermesError(f"judge hf: {name} has no processor for images and text; add its preprocessor_config.json")
    tokenizer = processor.tokenizer
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    if not answers_only and not model.config.is_encoder_decoder:
        tokenizer.padding_side = "left"
    return VLM(model.to(device).eval(), processor, device, answers_only), commit


def _auto_class(config: Any) -> tuple[Any, bool]:
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
            f"judge hf: {config.model_type!r} is no image-to-text model of transformers {transformers.__version__}"
        )
    return transformers.AutoModelForImageTextToText, False


def _prompts(processor: Any, answers_only: bool) -> Callable[[str], str]:
    """How a question becomes the text that the processor takes: through its chat template where it has one."""
    if answers_only:
        return str
    if getattr(processor, "chat_template", None):
        return lambda question: str(processor.apply_chat_template(_conversation(question), add_generation_prompt=True))
    # BLIP-2 and InstructBLIP put their image tokens before the text themselves.
    token = None if hasattr(processor, "num_query_tokens") else getattr(processor, "image_token", None)
    return lambda question: f"{token}\n{asked(question)}" if token else asked(question)


def _conversation(question: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": asked(question)}]}]
