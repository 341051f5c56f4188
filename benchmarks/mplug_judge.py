"""How much faster the mPLUG judge answers than the plain way, in one run, on random weights of a middling size.

python benchmarks/mplug_judge.py [--images 6] [--questions 13] [--repeats 3]

The plain way is what the published pipeline does: one question at a time, its image encoded again for each, and the
whole answer so far run through the decoder at every step. Strides 6 and 3 are the two that were published: with 3 one
layer attends over image and text together, so questions about an image share less. Times are CPU seconds, the best of
the repeats.
"""

import argparse
import random
import time
from collections.abc import Callable

import numpy as np
import torch
from PIL import Image
from rich.console import Console
from rich.table import Table
from torch import Tensor

from hermes.harness.judges.mplug.config import MPlugConfig
from hermes.harness.judges.mplug.fusion import ImageStates
from hermes.harness.judges.mplug.judge import MPlugJudge
from hermes.harness.judges.mplug.model import MPlug
from hermes.harness.judges.mplug.preprocess import pixels, tokens
from hermes.harness.judges.mplug.search import beam_search
from hermes.harness.judges.mplug.tokenizer import SPECIAL, QuestionTokenizer
from hermes.harness.records.seeds import derive_seed

PAD, *NAMED = SPECIAL
WORDS = [f"word{number}" for number in range(4000)]
VOCABULARY = [PAD, *(f"[unused{number}]" for number in range(99)), *NAMED, *WORDS]
SHARPER = 2.0


def middling(stride: int) -> MPlugConfig:
    """A quarter of the published widths, a third to a half of the layers, 257 image states."""
    return MPlugConfig(
        image_res=224,
        vision_width=256,
        clip_vision_width=256,
        clip_vision_layers=8,
        hidden_size=192,
        num_attention_heads=3,
        intermediate_size=768,
        num_hidden_layers=6,
        text_encoder_layers=3,
        fusion_layers=6,
        text_decode_layers=6,
        stride_layer=stride,
        vocab_size=len(VOCABULARY),
    )


def random_model(stride: int) -> MPlug:
    """Random weights; attention and output are made sharper, so that answers depend on what is asked."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed("mplug benchmark") % 2**32)
        model = MPlug(middling(stride)).requires_grad_(False).eval()
    for name, weight in model.named_parameters():
        if name.endswith(("query.weight", "key.weight", "value.weight", "predictions.decoder.weight")):
            weight.mul_(SHARPER)
    return model


def plain(model: MPlug, tokenizer: QuestionTokenizer, image: Image.Image, question: str) -> str:
    """The answer to one question, nothing kept between questions or steps."""
    config = model.config
    ids, mask = tokens([question], tokenizer)
    seen = ImageStates(model.see(pixels([image], config.image_res)), torch.tensor([0]))
    fused, text = model.fusion_encoder(seen, model.text_encoder(ids, mask), mask)

    def next_logits(prefixes: Tensor, parents: Tensor) -> Tensor:
        logits: Tensor = model.text_decoder(prefixes[0], model.text_decoder.remember(fused, text, mask))
        return logits[None, :, -1]

    found = beam_search(next_logits, 1, config.beam_size, config.min_length, config.max_length)
    return tokenizer.decode(found[0][0].ids)


def best_of(repeats: int, work: Callable[[], list[str]]) -> tuple[float, list[str]]:
    """The least CPU seconds, and what came out."""
    spent: list[float] = []
    for _ in range(repeats):
        start = time.process_time()
        answers = work()
        spent.append(time.process_time() - start)
    return min(spent), answers


def main() -> None:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    arguments.add_argument("--images", type=int, default=6)
    arguments.add_argument("--questions", type=int, default=13, help="questions an image; DPG-Bench has about 13")
    arguments.add_argument("--repeats", type=int, default=3)
    chosen = arguments.parse_args()
    rng = np.random.default_rng(derive_seed("mplug benchmark", "pictures"))
    drawn = [Image.fromarray(rng.integers(0, 256, (256, 256, 3), dtype=np.uint8)) for _ in range(chosen.images)]
    images = [image for image in drawn for _ in range(chosen.questions)]
    words = random.Random(derive_seed("mplug benchmark", "questions"))
    questions = [" ".join(words.sample(WORDS, words.randint(4, 20))) for _ in images]
    tokenizer = QuestionTokenizer(VOCABULARY)
    table = Table(
        "stride", "plain s", "judge s", "ratio", "answers equal", "different answers",
        title=f"{chosen.images} images x {chosen.questions} questions, {torch.get_num_threads()} threads",
    )  # fmt: skip
    for stride in (6, 3):
        model = random_model(stride)
        judge = MPlugJudge(model, tokenizer, "random")
        with torch.inference_mode():
            fast, answers = best_of(chosen.repeats, lambda judge=judge: judge.answer(images, questions))
            slow, wanted = best_of(
                chosen.repeats,
                lambda model=model: [plain(model, tokenizer, *one) for one in zip(images, questions, strict=True)],
            )
        equal = sum(one == other for one, other in zip(answers, wanted, strict=True))
        counts = f"{equal} of {len(wanted)}", str(len(set(wanted)))
        table.add_row(str(stride), f"{slow:.2f}", f"{fast:.2f}", f"{slow / fast:.1f}", *counts)
    Console().print(table)


if __name__ == "__main__":
    main()
