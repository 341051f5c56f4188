"""What a Show-o checkpoint's config.json says: token ids, image size, and the transformer's sizes."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hermes.harness.models.families import refuse_other_family
from hermes.harness.system.errors import HermesError
from hermes.harness.system.parsing import json_file

NEW_TOKENS = ("pad", "soi", "eoi", "sov", "eov", "t2i", "mmu", "t2v", "v2v", "lvg")
PIXELS_PER_TOKEN = 16
MAX_TEXT = 128


@dataclass(frozen=True)
class Vocabulary:
    """Token ids: ``text`` tokens, then ten new special ones, then ``codes`` image codes, last the mask.

    ``end`` is the text tokenizer's end-of-text token, which begins and ends every text (Show-o,
    training/prompting_utils.py).
    """

    text: int
    codes: int
    end: int

    @property
    def pad(self) -> int:
        return self.text

    @property
    def soi(self) -> int:
        return self._new("soi")

    @property
    def eoi(self) -> int:
        return self._new("eoi")

    @property
    def t2i(self) -> int:
        return self._new("t2i")

    @property
    def mmu(self) -> int:
        return self._new("mmu")

    @property
    def first_code(self) -> int:
        return self.text + len(NEW_TOKENS)

    @property
    def mask(self) -> int:
        return self.first_code + self.codes

    def _new(self, name: str) -> int:
        return self.text + NEW_TOKENS.index(name)


@dataclass(frozen=True)
class ShowoConfig:
    """The published config.json of a checkpoint, the keys that matter for running it.

    ``clip``: images are understood through projected features of CLIP, not through their tokens.
    """

    llm_vocab_size: int
    codebook_size: int
    num_vq_tokens: int
    llm_model_path: str = "microsoft/phi-1_5"
    max_text: int = MAX_TEXT
    clip: bool = False

    @property
    def resolution(self) -> int:
        """Width and height of an image in pixels."""
        return math.isqrt(self.num_vq_tokens) * PIXELS_PER_TOKEN

    def vocabulary(self, end: int) -> Vocabulary:
        return Vocabulary(self.llm_vocab_size, self.codebook_size, end)

    def as_json(self) -> dict[str, Any]:
        """The keys that Show-o's own loader reads, and ``max_seq_length``, which it keeps in its YAML files."""
        first_code = self.llm_vocab_size + len(NEW_TOKENS)
        return {
            "_class_name": "Showo",
            "codebook_size": self.codebook_size,
            "llm_model_path": self.llm_model_path,
            "llm_vocab_size": self.llm_vocab_size,
            "load_from_showo": True,
            "mask_token_id": first_code + self.codebook_size,
            "max_seq_length": self.max_text,
            "num_vq_tokens": self.num_vq_tokens,
            "vocab_size": first_code + self.codebook_size + 1,
            "w_clip_vit": self.clip,
        }


def read_config(path: Path) -> ShowoConfig:
    """Raises HermesError where the file is not a Show-o config, or contradicts itself."""
    try:
        values = json_file(path)
        if isinstance(values, dict):
            refuse_other_family(values, str(path.parent))
        config = ShowoConfig(
            llm_vocab_size=int(values["llm_vocab_size"]),
            codebook_size=int(values["codebook_size"]),
            num_vq_tokens=int(values["num_vq_tokens"]),
            llm_model_path=str(values.get("llm_model_path") or ShowoConfig.llm_model_path),
            max_text=int(values.get("max_seq_length", MAX_TEXT)),
            clip=bool(values.get("w_clip_vit", False)),
        )
        sizes = (int(values["vocab_size"]), int(values["mask_token_id"]))
    except (OSError, ValueError, OverflowError, KeyError, TypeError, AttributeError) as error:
        reason = f"no {error}" if isinstance(error, KeyError) else str(error).splitlines()[0]
        raise HermesError(
            f"{path}: not the config of a Show-o checkpoint ({reason}); give the checkpoint's folder"
        ) from None
    mask = config.llm_vocab_size + len(NEW_TOKENS) + config.codebook_size
    if sizes != (mask + 1, mask):
        raise HermesError(
            f"{path}: vocab_size and mask_token_id are {sizes}, not {(mask + 1, mask)} as the others say; fix it"
        )
    if math.isqrt(config.num_vq_tokens) ** 2 != config.num_vq_tokens or config.num_vq_tokens < 1:
        raise HermesError(f"{path}: num_vq_tokens {config.num_vq_tokens} is not a square number; fix the file")
    return config
