"""Tiny vision-language checkpoints with random weights, saved in the layout that transformers reads."""

from pathlib import Path

import torch
import transformers as t
from tokenizers import Regex, Tokenizer, models, pre_tokenizers

WORDS = """Yes No yes no red blue two three dog cat . , ? : ! Answer the question using a single word or phrase Is there
user assistant a b c d e f"""
TEMPLATE = (
    "{% for message in messages %}{{ message.role }} : "
    "{% for part in message.content %}"
    "{% if part.type == 'image' %}IMAGE {% else %}{{ part.text }}{% endif %}"
    "{% endfor %}{% endfor %}{% if add_generation_prompt %} assistant :{% endif %}"
)


def tokenizer(image: str, *more: str) -> t.PreTrainedTokenizerFast:
    """One token a word; ``image`` and ``more`` are special."""
    special = ["<pad>", "<s>", "</s>", "<unk>", image, *more]
    words = {word: number for number, word in enumerate(dict.fromkeys([*special, *WORDS.split()]))}
    made = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Split(Regex(r"\w+|[^\w\s]"), "removed", invert=True)
    return t.PreTrainedTokenizerFast(
        tokenizer_object=made,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        additional_special_tokens=special[4:],
        model_max_length=512,
    )


def save(folder: Path, kind: type[t.PreTrainedModel], config: t.PreTrainedConfig, processor: t.ProcessorMixin) -> Path:
    """The same random weights every time, large enough for the answers to depend on image and question."""
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        model = kind(config)
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0.0, 1.5 / parameter.shape[-1] ** 0.5)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def text_settings(words: int) -> dict[str, int]:
    return {
        "vocab_size": words,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
    }


def llava(folder: Path, template: bool = True) -> Path:
    """LLaVA 1.5: CLIP, a projector, LLaMA; every image is 16 x 16 pixels, four patches."""
    words = tokenizer("<image>")
    vision = t.CLIPVisionConfig(
        hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, image_size=16, patch_size=8
    )
    config = t.LlavaConfig(
        vision_config=vision,
        text_config=t.LlamaConfig(**text_settings(len(words))),
        image_token_index=words.convert_tokens_to_ids("<image>"),
        vision_feature_layer=-1,
    )
    size = {"height": 16, "width": 16}
    processor = t.LlavaProcessor(
        t.CLIPImageProcessor(size={"shortest_edge": 16}, crop_size=size),
        words,
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=TEMPLATE.replace("IMAGE", "<image>") if template else None,
    )
    return save(folder, t.LlavaForConditionalGeneration, config, processor)


def qwen2_vl(folder: Path) -> Path:
    """Qwen2-VL: as many patches as the image has pixels for."""
    marks = ["<|vision_start|>", "<|vision_end|>", "<|video_pad|>"]
    words = tokenizer("<|image_pad|>", *marks)
    image, start, end, video = words.convert_tokens_to_ids(["<|image_pad|>", *marks])
    config = t.Qwen2VLConfig(
        text_config={
            **text_settings(len(words)),
            "rope_parameters": {"rope_type": "default", "mrope_section": [2, 3, 3]},
        },
        vision_config={"depth": 2, "embed_dim": 32, "hidden_size": 32, "num_heads": 2, "patch_size": 4, "mlp_ratio": 2},
        image_token_id=image,
        video_token_id=video,
        vision_start_token_id=start,
        vision_end_token_id=end,
    )
    size = {"shortest_edge": 64, "longest_edge": 4096}
    processor = t.Qwen2VLProcessor(
        t.Qwen2VLImageProcessor(patch_size=4, size=size),
        words,
        t.Qwen2VLVideoProcessor(patch_size=4, size=size),
        chat_template=TEMPLATE.replace("IMAGE", "<|vision_start|><|image_pad|><|vision_end|>"),
    )
    return save(folder, t.Qwen2VLForConditionalGeneration, config, processor)


def blip_vqa(folder: Path) -> Path:
    """BLIP for question answering: no chat, a decoder of its own for the answer."""
    words = tokenizer("<image>")
    text = {**text_settings(len(words)), "encoder_hidden_size": 32, "max_position_embeddings": 64, "sep_token_id": 2}
    vision = {**text_settings(0), "image_size": 16, "patch_size": 8}
    config = t.BlipConfig(text_config=text, vision_config=vision, projection_dim=32)
    processor = t.BlipProcessor(t.BlipImageProcessor(size={"height": 16, "width": 16}), words)
    return save(folder, t.BlipForQuestionAnswering, config, processor)
