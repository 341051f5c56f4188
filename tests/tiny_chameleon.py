"""A tiny Chameleon checkpoint with random weights, in the files and with the settings of the published ones."""

import json
from pathlib import Path

import transformers as t
from tiny_parts import ALPHABET, SIZES, randomised
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors

SIDE, CODES = 16, 24
SEPARATOR = "<reserved08706>"
IMAGE_CODES = ["IMGIMG" + "".join("ABCDEFGHIJ"[int(digit)] for digit in str(n)) + "Z" for n in range(CODES)]
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>", *IMAGE_CODES, "<eoss>", "<racm3:break>", SEPARATOR, "<image>"]


def save(folder: Path) -> Path:
    """One token a byte, 16 x 16 pixels, 16 image tokens; the same weights every time, large enough to matter."""
    words = _tokenizer()
    vocabulary = words.get_vocab()
    config = t.ChameleonConfig(
        **SIZES,
        vocab_size=len(vocabulary),
        num_key_value_heads=2,
        bos_token_id=0,
        pad_token_id=1,
        eos_token_id=2,
        vocabulary_map=vocabulary,
        vq_config={
            "embed_dim": 8,
            "num_embeddings": CODES,
            "latent_channels": 32,
            "resolution": SIDE,
            "base_channels": 32,
            "channel_multiplier": [1, 1, 1],
            "num_res_blocks": 1,
        },
    )
    randomised(t.ChameleonForConditionalGeneration, config).save_pretrained(folder)
    words.save(str(folder / "tokenizer.json"))
    marks = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
    marks["sep_token"] = SEPARATOR
    _write(folder / "special_tokens_map.json", marks)
    _write(folder / "tokenizer_config.json", {**marks, "legacy": False, "tokenizer_class": "LlamaTokenizer"})
    processor = {"image_seq_length": 16, "image_token": "<image>", "processor_class": "ChameleonProcessor"}
    _write(folder / "processor_config.json", processor)
    pixels = {
        "crop_size": {"height": SIDE, "width": SIDE},
        "do_center_crop": True,
        "do_convert_rgb": True,
        "do_normalize": True,
        "do_rescale": True,
        "do_resize": True,
        "image_mean": [1.0, 1.0, 1.0],
        "image_processor_type": "ChameleonImageProcessor",
        "image_std": [1.0, 1.0, 1.0],
        "processor_class": "ChameleonProcessor",
        "resample": 1,
        "rescale_factor": 0.0078,
        "size": {"shortest_edge": SIDE},
    }
    _write(folder / "preprocessor_config.json", pixels)
    return folder


def _tokenizer() -> Tokenizer:
    made = Tokenizer(models.BPE({word: n for n, word in enumerate([*SPECIAL, *ALPHABET])}, [], unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    made.add_special_tokens([AddedToken(word, special=True, normalized=False) for word in SPECIAL])
    return made


def _write(path: Path, content: dict[str, object]) -> None:
    path.write_text(json.dumps(content, indent=2))
