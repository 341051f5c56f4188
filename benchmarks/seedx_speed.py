"""SEED-X's speed and memory against the released way, on the same random weights in the same run.

    python benchmarks/seedx_speed.py text|images [--rounds 3] [--tokens 48] [--steps 20] [--threads 1]

The released way is written anew here as AILab-CVC/SEED-X (commit 420d347) does it: one row at a time, both equal
entries of a picture in one tile through the vision encoder, each token from a pass over the whole row without a cache,
query tokens like any others, the unwanted condition made again for each picture. Both must first give the same tokens,
or pictures that differ by at most one level of 255; otherwise this ends with 1. Seconds are CPU seconds with one
thread, medians over rounds in which all take turns; extra peak memory is that of one run in a fresh process, above what
was held before it.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import sentencepiece
import torch
import transformers
from measured import extra_peak, extra_peak_apart, medians
from PIL import Image
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from hermes.harness.contracts.options import LoadOptions
from hermes.harness.models.pieces import ADDED
from hermes.harness.models.seedx.adapter import SeedX
from hermes.harness.models.seedx.anyres import normalised
from hermes.harness.models.seedx.conditions import ConditionResampler
from hermes.harness.models.seedx.config import Settings
from hermes.harness.models.seedx.drawing import Artist, Drawing, Stage
from hermes.harness.models.seedx.load import Loaded
from hermes.harness.models.seedx.network import Agent, embedded
from hermes.harness.models.seedx.places import Places
from hermes.harness.models.seedx.prompting import Row, Style, question, request, row
from hermes.harness.models.seedx.sampling import PictureTokens
from hermes.harness.models.seedx.tokenizer import read_tokenizer, without_tags
from hermes.harness.models.seedx.vit import VisionEncoder, pooled
from hermes.harness.records.images import ImageHandle
from hermes.harness.records.types import GenerationConfig, Request

BATCH, PICTURES = 8, 4


@dataclass(frozen=True)
class Size:
    """Of a model: ``queries`` and ``side`` of a picture that is read, ``latents`` a side of one that is drawn."""

    queries: int
    side: int
    features: int
    width: int
    layers: int
    latents: int


MID, TINY = Size(64, 224, 256, 256, 6, 32), Size(4, 28, 128, 32, 1, 4)
UNET = {
    "block_out_channels": (32, 64),
    "layers_per_block": 1,
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
    "attention_head_dim": (2, 4),
    "use_linear_projection": True,
    "cross_attention_dim": 64,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 8,
    "projection_class_embeddings_input_dim": 40 + 6 * 8,
}


def model(style: Style, size: Size) -> SeedX:
    """Random weights; a model of MID has the published number of features and query tokens, and a fourth of patches."""
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as home:
        words = read_tokenizer(tokenizer(Path(home)), size.queries, "benchmark")
    config = transformers.LlamaConfig(
        vocab_size=len(words), hidden_size=size.width, intermediate_size=2 * size.width, num_hidden_layers=size.layers,
        num_attention_heads=4, bos_token_id=1, eos_token_id=2, tie_word_embeddings=False,
    )  # fmt: skip
    shapes = {"input_resampler": (size.width, size.features), "output_resampler": (size.features, size.width)}
    state = {"patch_pos_embed": torch.empty(4, size.width)}
    for name, (width, kv) in shapes.items():
        state |= {f"{name}.query": torch.empty(size.queries, width), f"{name}.kv_proj.weight": torch.empty(width, kv)}
    vision = {
        "conv1.weight": torch.empty(128, 3, 14, 14),
        "positional_embedding": torch.empty(256, 128),
        "attn_pool.query": torch.empty(4 * size.queries, size.features),
        "transformer.resblocks.0.mlp.c_fc.bias": torch.empty(512),
        **{f"transformer.resblocks.{layer}.": torch.empty(0) for layer in range(size.layers)},
    }
    conditions = {
        "latents": torch.empty(1, size.queries, 64),
        "layers.0.0.to_q.weight": torch.empty(64, 64),
        "layers.0.1.1.weight": torch.empty(256, 64),
        "proj_in.weight": torch.empty(64, size.features),
        "unet_proj_1.bias": torch.empty(24),
        "unet_proj_2.bias": torch.empty(40),
        "unet_attnpool.c_proj.bias": torch.empty(40),
    }
    kinds: Any = diffusers
    vae = kinds.AutoencoderKL(
        block_out_channels=(32,) * 4, down_block_types=["DownEncoderBlock2D"] * 4,
        up_block_types=["UpDecoderBlock2D"] * 4, scaling_factor=0.13025,
    )  # fmt: skip
    scheduler = kinds.EulerDiscreteScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", timestep_spacing="leading", steps_offset=1
    )
    stage = Stage(
        filled(ConditionResampler(conditions, 4)),
        filled(kinds.UNet2DConditionModel.from_config({**UNET, "sample_size": size.latents})),
    )
    nowhere = Path("nowhere")
    loaded = Loaded(
        settings=Settings(style, size.side, vision_heads=4, input_heads=4, output_heads=4, condition_heads=4),
        words=words,
        llm=filled(transformers.LlamaForCausalLM(config)),
        agent=filled(Agent(state, 4, 4)),
        vision=filled(VisionEncoder(vision, 4)),
        artist=Artist(stage, filled(vae), scheduler),
        editor=None,
        places=Places(nowhere, nowhere, nowhere, nowhere, nowhere, nowhere, None, nowhere),
        commit=None,
    )
    return SeedX("benchmark", loaded, LoadOptions(as_released=style == "instruct"))


def tokenizer(home: Path) -> Path:
    """A vocabulary of bytes and a few words, with the tokens that pictures are written with."""
    (home / "words.txt").write_text("what is there to the left of the small red dog\n" * 20)
    sentencepiece.SentencePieceTrainer.train(
        input=str(home / "words.txt"), model_prefix=str(home / "tokenizer"), vocab_size=300, model_type="bpe",
        byte_fallback=True, minloglevel=2,
    )  # fmt: skip
    names = [*(f"<img_{n:05d}>" for n in range(100)), "<img>", "</img>", "<patch>", "</patch>"]
    (home / ADDED).write_text("{" + ", ".join(f'"{name}": {300 + n}' for n, name in enumerate(names)) + "}")
    return home


def filled(module: Any) -> Any:
    """The module with weights of the size that keeps its activations in the range of 1."""
    with torch.no_grad():
        for name, weight in module.named_parameters():
            if weight.ndim > 1:
                nn.init.normal_(weight, 0.0, weight[0].numel() ** -0.5)
            else:
                nn.init.constant_(weight, float("norm" in name or "ln_" in name) if name.endswith("weight") else 0.0)
    return module.eval().requires_grad_(False)


def questions(tokens: int) -> list[Request]:
    """Eight questions about pictures of four shapes."""
    shapes = ((224, 224), (448, 224), (200, 500), (450, 450))
    return [
        Request(
            sample_id=str(n), index=0, prompt="what is there " * (n % 3 + 1), seed=n,
            images=(ImageHandle(noise(n, shapes[n % 4])),), config=GenerationConfig(max_new_tokens=tokens),
        )
        for n in range(BATCH)
    ]  # fmt: skip


def prompts(steps: int) -> list[Request]:
    config = GenerationConfig(steps=steps)
    return [
        Request(sample_id=str(n), index=0, prompt="a red dog " * (n + 1), config=config, seed=n)
        for n in range(PICTURES)
    ]


def noise(number: int, size: tuple[int, int]) -> Image.Image:
    values = np.random.default_rng(number).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(values)


@torch.inference_mode()
def answer_released(one: SeedX, asked: Request) -> str:
    """A greedy answer, each token from a pass over the whole row."""
    views = one._views(asked)
    prompt = row(one.words, question("instruct", asked.prompt, [len(view.entries) for view in views]))
    pictures = torch.empty(0)
    for view in views:
        features = one.loaded.vision(normalised(torch.from_numpy(view.images[list(view.entries)])))
        pictures = one.agent.embed(features, torch.tensor(view.places))
    written = decoded(one, prompt, pictures, asked.config.max_new_tokens or 1)
    return without_tags(one.words.decode(written))


def decoded(one: SeedX, prompt: Row, pictures: Tensor, length: int) -> list[int]:
    """New ids of a row, up to the end token or ``length``."""
    ids = list(prompt.ids)
    rule = PictureTokens(one.words, [], as_released=True)
    while len(ids) < len(prompt.ids) + length and ids[-1] != one.words.end:
        seen = [*prompt.seen, *[False] * (len(ids) - len(prompt.seen))]
        rows = embedded(one.llm, torch.tensor([ids]), torch.tensor([seen]), pictures)
        scores = one.llm(inputs_embeds=rows, use_cache=False).logits[:, -1]
        ids.append(int(rule(torch.tensor([ids]), scores).argmax()))
    return ids[len(prompt.ids) :]


@torch.inference_mode()
def picture_released(one: SeedX, asked: Request, steps: int) -> Image.Image:
    """A picture of the base model's prompt: all query tokens one after the other, then the detokeniser."""
    prompt = row(one.words, request("base", asked.prompt, [])).and_then([one.words.image])
    queries = len(one.words.queries)
    nothing = torch.empty(0, len(one.words.queries), one.llm.config.hidden_size)
    written = decoded(one, prompt, nothing, queries + 1)
    ids = torch.tensor([[*prompt.ids, *written]])
    hidden = one.llm.model(input_ids=ids, use_cache=False).last_hidden_state[:, -queries - 1 : -1]
    artist, side = one.loaded.artist, one.loaded.artist.side
    drawing = Drawing(steps, 7.5, side, side)
    wanted = artist.stage.resampler(one.agent.regress(hidden))
    grey = torch.zeros(1, 3, one.loaded.settings.side, one.loaded.settings.side)
    unwanted = artist.stage.resampler(pooled(one.loaded.vision(grey), queries))
    *_, last = artist.steps(wanted, unwanted, artist.noise(torch.Generator().manual_seed(asked.seed), drawing), drawing)
    return artist.decode(last.latents)


def variants(task: str, chosen: argparse.Namespace, size: Size) -> dict[str, Callable[[], Any]]:
    """The released way and ours; all do the same requests."""
    if task == "text":
        one, asked = model("instruct", size), questions(chosen.tokens)
        return {
            "released": lambda: [answer_released(one, each) for each in asked],
            "ours, batch 1": lambda: [one.understand([each])[0] for each in asked],
            f"ours, batch {BATCH}": lambda: one.understand(asked),
        }
    one, wanted = model("base", size), prompts(chosen.steps)
    return {
        "released": lambda: [picture_released(one, each, chosen.steps) for each in wanted],
        "ours": lambda: one.generate(wanted),
    }


def difference(task: str, released: list[Any], ours: list[Any]) -> str:
    """What differs, or nothing."""
    if task == "text":
        return "" if released == ours else "the answers differ"
    pairs = [(np.asarray(a, dtype=int), np.asarray(b, dtype=int)) for a, b in zip(released, ours, strict=True)]
    return "" if max(int(np.abs(a - b).max()) for a, b in pairs) <= 1 else "the pictures differ"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("task", choices=("text", "images"))
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--tokens", type=int, default=48, help="new tokens of an answer")
    arguments.add_argument("--steps", type=int, default=20, help="steps of a picture")
    arguments.add_argument("--threads", type=int, default=1)
    arguments.add_argument("--only", help=argparse.SUPPRESS)
    chosen = arguments.parse_args()
    chosen.device = "cpu"
    torch.set_num_threads(chosen.threads)
    if chosen.only:
        small, run = (variants(chosen.task, chosen, size)[chosen.only] for size in (TINY, MID))
        small()  # what libraries load once is nobody's
        print(extra_peak(run, "cpu"))
        return
    peaks = {name: extra_peak_apart(name) for name in variants(chosen.task, chosen, TINY)}
    runs = variants(chosen.task, chosen, MID)
    released, *ours = (run() for run in runs.values())
    if wrong := [found for one in ours if (found := difference(chosen.task, released, one))]:
        sys.exit(f"seedx_speed: {wrong[0]}")
    times = medians(runs, chosen)
    table = Table(
        "variant", "seconds", "speed", "extra peak MiB", title=f"SEED-X {chosen.task}, {chosen.threads} threads"
    )
    for name in runs:
        table.add_row(name, f"{times[name]:.2f}", f"{times['released'] / times[name]:.2f}x", f"{peaks[name]:.0f}")
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
