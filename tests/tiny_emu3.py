"""A tiny Emu3 checkpoint with random weights, in the files and with the special tokens of the published ones."""

from pathlib import Path

import torch
import transformers as t
from tiny_parts import ALPHABET, SIZES, by_byte, randomised

SIDE, CODE, CODES = 24, 8, 20
SPECIAL = {
    "image_token": "<image>",
    "boi_token": "<|image start|>",
    "eoi_token": "<|image end|>",
    "image_wrapper_token": "<|image token|>",
    "eof_token": "<|extra_201|>",
}
OTHERS = ["<|endoftext|>", "<|extra_200|>", "<|extra_203|>", "<|extra_204|>"]
TEMPLATE = (
    "{% for message in messages %}{% if message.role != 'system' %}{{ message.role.upper() + ': ' }}{% endif %}"
    "{% for part in message.content if part.type == 'image' %}<image>{% endfor %}"
    "{% for part in message.content if part.type == 'text' %}{{ part.text + ' ' }}{% endfor %}{% endfor %}"
    "{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)


def save(folder: Path, seed: int = 0) -> Path:
    """One token a byte, 24 x 24 pixels, 9 image codes; the same weights for a seed, large enough to matter."""
    words = _tokenizer()
    vocabulary = words.get_vocab()
    text = t.Emu3TextConfig(
        **SIZES,
        vocab_size=len(vocabulary),
        num_key_value_heads=1,
        pad_token_id=vocabulary["<|endoftext|>"],
        bos_token_id=vocabulary["<|extra_203|>"],
        eos_token_id=vocabulary["<|extra_204|>"],
    )
    vq = t.Emu3VQVAEConfig(
        codebook_size=CODES,
        base_channels=32,
        channel_multiplier=[1, 1, 1, 1],
        num_res_blocks=1,
        hidden_size=32,
    )
    config = t.Emu3Config(text_config=text, vq_config=vq, vocabulary_map=vocabulary, image_area=SIDE * SIDE)
    model = randomised(t.Emu3ForConditionalGeneration, config, seed).eval()
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(seed)
        _learn_codes(model.model.vqmodel)
    model.save_pretrained(folder)
    images = t.Emu3ImageProcessor(min_pixels=16 * 16, max_pixels=500)
    t.Emu3Processor(images, words, chat_template=TEMPLATE).save_pretrained(folder)
    return folder


def _learn_codes(vq: t.Emu3VQVAE) -> None:
    """Codes that lie where the encoder's states do, so that pictures have more than one of them."""
    shown = torch.nn.functional.interpolate(torch.randn(CODES, 3, 3, 3), scale_factor=CODE)
    films = shown[:, None].repeat(1, vq.config.temporal_downsample_factor, 1, 1, 1)
    states = vq.quant_conv(vq.encoder(films).permute(0, 2, 1, 3, 4))
    vq.quantize.embedding.weight.copy_(states[:, :, 0, 1, 1])


def _tokenizer() -> t.PreTrainedTokenizerFast:
    visual = [f"<|visual token {code:06d}|>" for code in range(CODES)]
    made = by_byte([*ALPHABET, *OTHERS, *SPECIAL.values(), *visual], "<|endoftext|>")
    made.add_special_tokens([*OTHERS, *SPECIAL.values(), *visual])
    return t.PreTrainedTokenizerFast(
        tokenizer_object=made,
        pad_token="<|endoftext|>",
        bos_token="<|extra_203|>",
        eos_token="<|extra_204|>",
        extra_special_tokens=SPECIAL,
    )
