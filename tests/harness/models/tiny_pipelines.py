"""Tiny diffusers pipelines with random weights, saved in the layout in which pipelines are published."""

from pathlib import Path
from typing import Any

import diffusers as d
import torch
import transformers as t
from tokenizers import pre_tokenizers

WORDS = 32


def stable_diffusion(folder: Path) -> Path:
    """Stable Diffusion: CLIP, a U-Net over 8 x 8 latents, a VAE that doubles the side; DDIM; a safety checker."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        pipe = d.StableDiffusionPipeline(
            vae=_matter(d.AutoencoderKL(**_vae(latents=4))),
            text_encoder=_matter(t.CLIPTextModel(_clip())),
            tokenizer=_clip_tokenizer(),
            unet=_matter(
                d.UNet2DConditionModel(
                    sample_size=8,
                    block_out_channels=(8, 16),
                    layers_per_block=1,
                    down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
                    up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
                    cross_attention_dim=WORDS,
                    attention_head_dim=4,
                    norm_num_groups=4,
                )
            ),
            scheduler=d.DDIMScheduler(
                beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False, steps_offset=1
            ),
            safety_checker=_safety_checker(),
            feature_extractor=t.CLIPImageProcessor(size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16}),
        )
    pipe.save_pretrained(folder)
    return folder


def stable_diffusion_xl(folder: Path) -> Path:
    """Stable Diffusion XL: two CLIPs, a U-Net that is told sizes and the pooled text, too; Euler."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        pipe = d.StableDiffusionXLPipeline(
            vae=_matter(d.AutoencoderKL(**_vae(latents=4))),
            text_encoder=_matter(t.CLIPTextModel(_clip())),
            tokenizer=_clip_tokenizer(),
            text_encoder_2=_matter(t.CLIPTextModelWithProjection(_clip())),
            tokenizer_2=_clip_tokenizer(),
            unet=_matter(
                d.UNet2DConditionModel(
                    sample_size=8,
                    block_out_channels=(8, 16),
                    layers_per_block=1,
                    down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
                    up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
                    cross_attention_dim=2 * WORDS,
                    attention_head_dim=4,
                    norm_num_groups=4,
                    addition_embed_type="text_time",
                    addition_time_embed_dim=4,
                    projection_class_embeddings_input_dim=WORDS + 6 * 4,
                )
            ),
            scheduler=d.EulerDiscreteScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear"),
        )
    pipe.save_pretrained(folder)
    return folder


def stable_diffusion_3(folder: Path) -> Path:
    """Stable Diffusion 3: two CLIPs and T5, a transformer over patches, flow matching shifted towards noise."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        pipe = d.StableDiffusion3Pipeline(
            vae=_matter(d.AutoencoderKL(**_vae(latents=4), shift_factor=0.1, use_quant_conv=False)),
            text_encoder=_matter(t.CLIPTextModelWithProjection(_clip())),
            tokenizer=_clip_tokenizer(),
            text_encoder_2=_matter(t.CLIPTextModelWithProjection(_clip())),
            tokenizer_2=_clip_tokenizer(),
            text_encoder_3=_matter(
                t.T5EncoderModel(
                    t.T5Config(vocab_size=300, d_model=2 * WORDS, d_ff=32, d_kv=8, num_layers=2, num_heads=4)
                )
            ),
            tokenizer_3=_t5_tokenizer(),
            transformer=_matter(
                d.SD3Transformer2DModel(
                    sample_size=8,
                    patch_size=1,
                    in_channels=4,
                    num_layers=2,
                    attention_head_dim=8,
                    num_attention_heads=4,
                    joint_attention_dim=2 * WORDS,
                    caption_projection_dim=32,
                    pooled_projection_dim=2 * WORDS,
                    out_channels=4,
                    pos_embed_max_size=16,
                )
            ),
            scheduler=d.FlowMatchEulerDiscreteScheduler(shift=3.0),
        )
    pipe.save_pretrained(folder)
    return folder


def flux(folder: Path) -> Path:
    """FLUX.1: CLIP and T5, a transformer over packed latents, flow matching; 16 x 16 pixels."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        pipe = d.FluxPipeline(
            vae=_matter(d.AutoencoderKL(**_vae(latents=4), shift_factor=0.1, use_quant_conv=False)),
            text_encoder=_matter(t.CLIPTextModel(_clip())),
            tokenizer=_clip_tokenizer(),
            text_encoder_2=_matter(
                t.T5EncoderModel(t.T5Config(vocab_size=300, d_model=WORDS, d_ff=32, d_kv=8, num_layers=2, num_heads=4))
            ),
            tokenizer_2=_t5_tokenizer(),
            transformer=_matter(
                d.FluxTransformer2DModel(
                    patch_size=1,
                    in_channels=16,
                    num_layers=1,
                    num_single_layers=1,
                    attention_head_dim=16,
                    num_attention_heads=2,
                    joint_attention_dim=WORDS,
                    pooled_projection_dim=WORDS,
                    axes_dims_rope=(4, 4, 8),
                    guidance_embeds=True,
                )
            ),
            scheduler=d.FlowMatchEulerDiscreteScheduler(),
        )
    pipe.save_pretrained(folder)
    return folder


def _vae(latents: int) -> dict[str, Any]:
    return {
        "block_out_channels": (8, 16),
        "down_block_types": ("DownEncoderBlock2D",) * 2,
        "up_block_types": ("UpDecoderBlock2D",) * 2,
        "latent_channels": latents,
        "norm_num_groups": 4,
        "sample_size": 16,
        "scaling_factor": 0.5,
    }


def _clip() -> t.CLIPTextConfig:
    return t.CLIPTextConfig(
        vocab_size=600,
        hidden_size=WORDS,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=77,
        projection_dim=WORDS,
        bos_token_id=512,
        eos_token_id=513,
        pad_token_id=513,
    )


def _clip_tokenizer() -> t.CLIPTokenizer:
    """One token a byte, another one at the end of a word, as in CLIP's own vocabulary before its merges."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = [*alphabet, *(letter + "</w>" for letter in alphabet), "<|startoftext|>", "<|endoftext|>"]
    return t.CLIPTokenizer(vocab={word: n for n, word in enumerate(words)}, merges=[], model_max_length=77)


def _t5_tokenizer() -> t.T5Tokenizer:
    letters = [chr(code) for code in range(33, 127)]
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", -9.0), ("▁", -2.0), *((letter, -3.0) for letter in letters)]
    return t.T5Tokenizer(vocab=pieces, extra_ids=0, model_max_length=64)


def _safety_checker() -> Any:
    """One that finds fault with every image: its thresholds are below any cosine."""
    from diffusers.pipelines.stable_diffusion import StableDiffusionSafetyChecker

    vision = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = t.CLIPConfig(
        vision_config={**vision, "image_size": 16, "patch_size": 8},
        text_config={**vision, "vocab_size": 8},
        projection_dim=8,
    )
    checker = StableDiffusionSafetyChecker(config)
    checker.concept_embeds_weights.data.fill_(-2.0)
    return checker


def _matter(module: Any) -> Any:
    """Weights large enough for an image to depend on its prompt and seed."""
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0.0, 1.2 / parameter[0].numel() ** 0.5)
    return module.eval()
