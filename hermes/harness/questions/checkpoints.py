"""Text models from a folder or the hub, and batched generation that gives each prompt what it would get alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from hermes.harness.system import hub
from hermes.harness.system.errors import HermesError

Kind = Literal["AutoModelForCausalLM", "AutoModelForSeq2SeqLM"]


@dataclass(frozen=True)
class TextModel:
    """A tokenizer and a model; ``identity`` is the checkpoint's name, with its commit where it came from the hub."""

    identity: str
    tokenizer: Any
    model: Any

    def generate(self, prompts: Sequence[str], special_tokens: bool, length: int, beams: int = 1) -> list[str]:
        """What the model writes after each prompt, ``length`` tokens at most and without sampling.

        ``special_tokens``: whether the tokenizer adds its own.
        """
        import torch

        encoded = self.tokenizer(list(prompts), add_special_tokens=special_tokens, padding=True, return_tensors="pt")
        asked = {name: encoded[name].to(self.model.device) for name in ("input_ids", "attention_mask")}
        with torch.inference_mode():
            written = self.model.generate(
                **asked,
                max_new_tokens=length,
                do_sample=False,
                num_beams=beams,
                pad_token_id=self.tokenizer.pad_token_id,
            )
        start = 0 if self.model.config.is_encoder_decoder else asked["input_ids"].shape[1]
        return [str(text) for text in self.tokenizer.batch_decode(written[:, start:], skip_special_tokens=True)]


def load_text_model(kind: Kind, reference: str, device: str) -> TextModel:
    """The checkpoint in a folder or under a hub id, in float32; a decoder on CUDA in float16, where T5 would overflow.

    Raises HermesError, in one line, where it cannot be loaded.
    """
    import torch
    import transformers

    if not Path(reference).is_dir():
        hub.unreachable()
    try:
        # Otherwise transformers would ask at the terminal whether to run code that the checkpoint brings.
        tokenizer = transformers.AutoTokenizer.from_pretrained(reference, padding_side="left", trust_remote_code=False)
        half = device.startswith("cuda") and kind == "AutoModelForCausalLM"
        dtype = torch.float16 if half else torch.float32
        model = getattr(transformers, kind).from_pretrained(reference, dtype=dtype, trust_remote_code=False)
    except Exception as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise HermesError(f"{reference} cannot be loaded as a text model ({reason}); give a folder or hub id") from None
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    commit = getattr(model.config, "_commit_hash", None)
    folder = Path(reference)
    name = folder.resolve().name if folder.is_dir() else reference
    return TextModel(f"{name}@{commit[:12]}" if commit else name, tokenizer, model.to(device).eval())
