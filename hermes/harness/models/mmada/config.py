"""What an MMaDA checkpoint's config.json says of the transformer's sizes, and which token ids mean what."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hermes.harness.models.families import refuse_other_family
from hermes.harness.system.errors import HermesError
from hermes.harness.system.parsing import json_file

NAME = "mmada"
PUBLISHED = "Gen-Verse/MMaDA-8B-MixCoT"
# The authors keep both in their YAML files; `write_network` puts them into config.json under the same names.
RESOLUTION, MAX_TEXT = 512, 512
# LLaDA's code knows many networks; this is the one that MMaDA is. Where config.json is silent it is this one, too.
ONLY: dict[str, Any] = {
    "activation_type": "silu",
    "block_type": "llama",
    "layer_norm_type": "rms",
    "include_bias": False,
    "include_qkv_bias": False,
    "bias_for_layer_norm": False,
    "attention_layer_norm": False,
    "rope": True,
    "alibi": False,
    "scale_logits": False,
    "input_emb_norm": False,
}
# Reserved tokens of LLaDA's tokenizer, by number, and the id of number 0 in the published one, whose mask this is
# (Gen-Verse/MMaDA at 3cdb870, training/prompting_utils.py, which writes the ids out).
RESERVED = {"soi": 0, "eoi": 1, "t2i": 4, "mmu": 5, "pad": 9}
FIRST_RESERVED, PUBLISHED_MASK = 126084, 126336


@dataclass(frozen=True)
class MmadaConfig:
    """The published config.json: the keys that matter for running it, and ``raw``, all of them.

    ``num_vq_tokens`` is not among them: published files say 256 where the model draws 1024.
    """

    width: int
    layers: int
    heads: int
    kv_heads: int
    inner: int
    codes: int
    mask: int
    eps: float
    theta: float
    tied: bool
    longest: int
    resolution: int
    max_text: int
    raw: dict[str, Any]


@dataclass(frozen=True)
class Vocabulary:
    """Token ids. Code c of an image is ``first_code + c``; the one ``mask`` lies among the text and hides both kinds.

    ``eot`` ends a message of the chat template, ``eos`` a text, which it also fills up.
    """

    bos: int
    eos: int
    eot: int
    mask: int
    soi: int
    eoi: int
    t2i: int
    mmu: int
    pad: int
    first_code: int
    codes: int

    @property
    def ends(self) -> tuple[int, ...]:
        """The tokens behind which nothing belongs to an answer."""
        return self.eos, self.eot


def vocabulary_of(tokenizer: Any, config: MmadaConfig, where: str) -> Vocabulary:
    """The ids of a tokenizer of transformers. Codes begin behind its last token, whatever the embedding's size says.

    Raises HermesError where a token is missing.
    """

    def token(name: str) -> int:
        found = tokenizer.get_vocab().get(name)
        if found is None:
            raise HermesError(f"{where}: the tokenizer has no token {name}; copy that of {PUBLISHED}")
        return int(found)

    def reserved(number: int) -> int:
        published = config.mask == PUBLISHED_MASK
        return FIRST_RESERVED + number if published else token(f"<|reserved_token_{number}|>")

    return Vocabulary(
        bos=token("<|startoftext|>"),
        eos=token("<|endoftext|>"),
        eot=token("<|eot_id|>"),
        mask=config.mask,
        first_code=len(tokenizer),
        codes=config.codes,
        **{name: reserved(number) for name, number in RESERVED.items()},
    )


def read_config(path: Path) -> MmadaConfig:
    """Raises HermesError where the file is not an MMaDA config, or is one of a network that MMaDA is not."""
    try:
        raw = json_file(path)
        refuse_other_family(raw, str(path.parent))
        heads = int(raw["n_heads"])
        few = 1 if raw.get("multi_query_attention") else heads
        config = MmadaConfig(
            width=int(raw["d_model"]),
            layers=int(raw["n_layers"]),
            heads=heads,
            kv_heads=int(raw.get("n_kv_heads") or few),
            inner=int(raw.get("mlp_hidden_size") or raw["mlp_ratio"] * raw["d_model"]),
            codes=int(raw["codebook_size"]),
            mask=int(raw["mask_token_id"]),
            eps=float(raw.get("rms_norm_eps", 1e-5)),
            theta=float(raw.get("rope_theta", 10000.0)),
            tied=bool(raw.get("weight_tying", False)),
            longest=int(raw.get("max_sequence_length", 4096)),
            resolution=int(raw.get("resolution", RESOLUTION)),
            max_text=int(raw.get("max_seq_length", MAX_TEXT)),
            raw=raw,
        )
    except (OSError, ValueError, OverflowError, KeyError, TypeError, AttributeError) as error:
        reason = f"no {error}" if isinstance(error, KeyError) else str(error).splitlines()[0]
        raise HermesError(
            f"{path}: not the config of an MMaDA checkpoint ({reason}); give the checkpoint's folder"
        ) from None
    for key, value in ONLY.items():
        if raw.get(key, value) != value:
            raise HermesError(f"{path}: {key} is {raw[key]!r}, and MMaDA's transformer has {value!r}; fix the file")
    sizes = (config.width, config.layers, config.heads, config.kv_heads, config.inner, config.codes)
    fit = min(sizes) > 0 and config.width % (2 * config.heads) == 0 and config.heads % config.kv_heads == 0
    if not fit or min(config.resolution, config.max_text - 2) < 1:
        raise HermesError(f"{path}: no transformer has these sizes (d_model, n_heads, n_kv_heads, ...); fix the file")
    return config
