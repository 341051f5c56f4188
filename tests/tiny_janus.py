"""A tiny Janus checkpoint with random weights, in the files and with the settings of the published ones."""

from pathlib import Path

import transformers as t
from tiny_parts import ALPHABET, SIZES, by_byte, randomised
from tokenizers import processors

SPECIAL = ["<pad>", "<s>", "</s>", "<unk>", "<image_placeholder>", "<begin_of_image>", "<end_of_image>"]
TEMPLATE = (
    "{% for message in messages %}{{ '<|' + message.role.capitalize() + '|>:' }} "
    "{% for part in message.content %}"
    "{% if part.type == 'image' %}<image_placeholder>\n{% else %}{{ part.text }}{% endif %}"
    "{% endfor %}{% if not loop.last or add_generation_prompt %}\n\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|Assistant|>:{% endif %}"
)
SIDE, PATCH, CODES = 16, 4, 24


def save(folder: Path) -> Path:
    """One token a byte, 16 x 16 pixels, 16 image tokens; the same weights every time, large enough to matter."""
    words = _tokenizer()
    text = t.LlamaConfig(
        **SIZES, vocab_size=len(words), num_key_value_heads=2, pad_token_id=0, bos_token_id=1, eos_token_id=2
    )
    vision = t.JanusVisionConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=SIDE,
        patch_size=PATCH,
        projection_dim=32,
        num_image_tokens=(SIDE // PATCH) ** 2,
    )
    vq = t.JanusVQVAEConfig(
        embed_dim=8,
        num_embeddings=CODES,
        latent_channels=32,
        base_channels=32,
        channel_multiplier=[1, 1, 1],
        num_res_blocks=1,
        projection_dim=32,
        image_token_embed_dim=32,
    )
    config = t.JanusConfig(
        text_config=text,
        vision_config=vision,
        vq_config=vq,
        image_token_id=words.convert_tokens_to_ids("<image_placeholder>"),
        tie_word_embeddings=False,
    )
    model = randomised(t.JanusForConditionalGeneration, config)
    model.generation_config = t.GenerationConfig(
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
        guidance_scale=5,
        temperature=1.0,
        generation_kwargs={"boi_token_id": words.convert_tokens_to_ids("<begin_of_image>")},
    )
    model.save_pretrained(folder)
    images = t.JanusImageProcessor(
        size={"height": SIDE, "width": SIDE}, min_size=4, image_mean=[0.5] * 3, image_std=[0.5] * 3
    )
    processor = t.JanusProcessor(
        images, words, chat_template=TEMPLATE, use_default_system_prompt=True, num_image_tokens=(SIDE // PATCH) ** 2
    )
    processor.save_pretrained(folder)
    return folder


def _tokenizer() -> t.PreTrainedTokenizerFast:
    made = by_byte([*SPECIAL, *ALPHABET], "<unk>")
    made.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return t.PreTrainedTokenizerFast(
        tokenizer_object=made,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        padding_side="left",
        extra_special_tokens={
            "image_token": "<image_placeholder>",
            "boi_token": "<begin_of_image>",
            "eoi_token": "<end_of_image>",
        },
        model_max_length=2048,
    )
