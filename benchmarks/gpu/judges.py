"""The judges of pictures at their published sizes: GenEval's detector and DPG-Bench's reader."""

import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from PIL import Image

from gpu.measuring import Figure, Place, new_peak, peak, seconds
from gpu.models import filled
from hermes.harness.judges.mask2former.detector import Detector
from hermes.harness.judges.mask2former.preprocess import SCALE
from hermes.harness.judges.mplug.config import MPlugConfig
from hermes.harness.judges.mplug.judge import MPlugJudge
from hermes.harness.judges.mplug.model import MPlug
from hermes.harness.judges.mplug.tokenizer import SPECIAL, QuestionTokenizer
from hermes.harness.models.full_float32 import full_float32

QUESTIONS = 13
"""Of a picture, about as many as DPG-Bench has."""
PAD, *NAMED = SPECIAL
WORDS = [f"word{number}" for number in range(30522 - 100 - len(NAMED))]
VOCABULARY = [PAD, *(f"[unused{number}]" for number in range(99)), *NAMED, *WORDS]
"""As many as bert-base-uncased has."""


def detector(place: Place) -> Iterator[Figure]:
    """Mask2Former Swin-S in float32, with its preparation and what follows it, of pictures of 512 px."""
    from transformers import Mask2FormerConfig, Mask2FormerForUniversalSegmentation, SwinConfig

    tiny = {
        **{"feature_size": 32, "mask_feature_size": 32, "hidden_dim": 32, "encoder_feedforward_dim": 40},
        **{"encoder_layers": 1, "decoder_layers": 2, "dim_feedforward": 48, "num_attention_heads": 4},
        "num_queries": 6,
        "backbone_config": SwinConfig(
            **{"embed_dim": 8, "depths": [1, 1, 1, 1], "num_heads": [1, 2, 2, 4], "window_size": 7},
            out_features=["stage1", "stage2", "stage3", "stage4"],
        ),
    }
    cls: Any = Mask2FormerForUniversalSegmentation
    with torch.device(place.device):
        model = cls(Mask2FormerConfig(num_labels=80, **place.pick({}, tiny)))
    found = Detector(model.eval().requires_grad_(False), place.device, scale=place.pick(SCALE, (96, 64)))
    images = pictures(*place.pick((32, 512), (2, 48)))
    yield from judged(place, "Mask2Former, float32", len(images), "pictures", lambda: list(found.find(images)))


def reader(place: Place) -> Iterator[Figure]:
    """mPLUG-large VQA in float32, pictures and questions, with beam search; random weights end no answer early."""
    large = {
        **{"hidden_size": 768, "num_attention_heads": 12, "intermediate_size": 3072, "num_hidden_layers": 12},
        **{"text_encoder_layers": 6, "fusion_layers": 6, "text_decode_layers": 12, "stride_layer": 6},
    }
    tiny = {
        **{"hidden_size": 64, "num_attention_heads": 1, "intermediate_size": 64, "num_hidden_layers": 2},
        **{"text_encoder_layers": 1, "fusion_layers": 1, "text_decode_layers": 1, "image_res": 28},
        **{"vision_width": 64, "clip_vision_width": 64, "clip_vision_layers": 1},
    }
    with torch.device(place.device):
        model = MPlug(MPlugConfig(**place.pick(large, tiny)))
    filled(model, place).requires_grad_(False).eval()
    judge = MPlugJudge(model, QuestionTokenizer(VOCABULARY), "random", place.device)
    rng = random.Random(4)
    drawn = pictures(*place.pick((16, 512), (1, 48)))
    images = [image for image in drawn for _ in range(QUESTIONS)]
    questions = [" ".join(rng.sample(WORDS, 8)) for _ in images]
    yield from judged(place, "mPLUG, float32", len(images), "answers", lambda: judge.answer(images, questions))


def judged(place: Place, name: str, count: int, unit: str, run: Any) -> Iterator[Figure]:
    """The second of two runs; not its FLOP utilisation, as much of it is preparation on the CPU."""
    with full_float32(place.device):
        run()
        new_peak(place)
        took = seconds(place, run)
    yield Figure(name, count / took, f"{unit}/s")
    yield peak(place, name)


def pictures(count: int, side: int) -> list[Image.Image]:
    """Random pixels."""
    rng = np.random.default_rng(6)
    return [Image.fromarray(rng.integers(0, 256, (side, side, 3), dtype=np.uint8)) for _ in range(count)]
