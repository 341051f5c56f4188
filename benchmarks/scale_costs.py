"""What an evaluation and a self-play cost on 1, 8 and 64 GPUs, counted from published settings files.

python benchmarks/scale_costs.py --card A100

Nothing is measured. Times are those of `hermes align --dry-run`: the slower of arithmetic and of reading weights, at
40 % of the card's best. Judges, image tokenisers and the loading of weights and pictures are not counted, and work is
dealt evenly.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from janus_sizes import JANUS

from hermes.align.play.budget import Ranks
from hermes.align.play.cost import Amount, Work, phases
from hermes.align.play.fits import Training
from hermes.align.play.hardware import Card, card_of
from hermes.align.play.workplan import memory_line, plan_of, taken
from hermes.align.settings import AlignSettings
from hermes.harness.models.janus.outline import outline_of as janus
from hermes.harness.models.showo.config import ShowoConfig
from hermes.harness.models.showo.outline import outline_of as showo

GPUS = (1, 8, 64)
QUESTIONS = {
    **{"POPE": (9_000, 2), "MME": (2_374, 2), "VQAv2": (214_354, 3), "GQA": (12_578, 3)},
    **{"MMMU": (900, 4), "Flickr30k 1K": (1_000, 20)},
}
"""Questions of a benchmark, and tokens of a reply that does as it is asked, its end included."""
PICTURES = {"GenEval": 553 * 4, "DPG-Bench": 1_065 * 4, "TIFA": 4_081}
ROUND = {
    "draw_dtype": "bfloat16",
    "items": 5_500,
    "n": 10,
    "guidance": 5.0,
    "epochs": 1,
    "eval_limit": 1_000,
    "bf16": True,
}
LORA = {"lora_rank": 16, "checkpointing": True}


def seconds(training: Training, settings: AlignSettings, card: Card, texts: int, reply: int, images: int) -> float:
    """Of so many replies and pictures on one GPU."""
    asked = settings.model_copy(update={"caption_tokens": reply})
    outline = training.outline
    work = Work(
        sizes=training.sizes(asked), codes=outline.codes, steps=outline.steps, draws_bf16=True, trains_bf16=True
    )
    none = {"judged": 0, "encoder": 0, "epochs": 0, "pairs": 0, "replayed": 0, "evaluated": 0}
    amount = Amount.model_validate({"captions": texts, "images": images, "reply": reply, "guided": True, **none})
    return sum(one.seconds or 0 for one in phases(amount, work, 1, 0, card) if one.name in ("captions", "images"))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--card", default="A100")
    parser.add_argument("--phases", action="store_true", help="the phases of a round of Show-o on eight GPUs instead")
    chosen = parser.parse_args()
    card = card_of(chosen.card)
    if card is None:
        parser.error(f"the speed of {chosen.card} is not known")
    with tempfile.TemporaryDirectory() as folder:
        first, second = Path(folder, "showo.json"), Path(folder, "janus.json")
        first.write_text(json.dumps(ShowoConfig(50295, 8192, 1024).as_json()))
        second.write_text(json.dumps(JANUS))
        models = {
            "Show-o 512, 1.3B": (showo(first, 50), {"dtype": "float32"}),
            "Janus-Pro 7B, LoRA": (janus(second), LORA),
        }
        if chosen.phases:
            phases_of(models, card)
        else:
            table(models, card)


def table(models: dict[str, tuple[Any, dict[str, Any]]], card: Card) -> None:
    """A row for each model and each kind of work, in hours."""
    print("| model | work | " + " | ".join(f"{number} GPU{'s' * (number > 1)}" for number in GPUS) + " |")
    print("| :-- | :-- |" + " --: |" * len(GPUS))
    for model, (outline, how) in models.items():
        if outline is None:
            continue
        training = Training(outline, ("text", "image"), Ranks(), cuda=True, free=80 * 10**9)
        asked = AlignSettings.model_validate({"model": model, **ROUND, "dtype": "bfloat16"})
        works = {
            "questions but VQAv2": [
                seconds(training, asked, card, n, reply, 0) for name, (n, reply) in QUESTIONS.items() if name != "VQAv2"
            ],
            "VQAv2": [seconds(training, asked, card, *QUESTIONS["VQAv2"], 0)],
            "pictures": [seconds(training, asked, card, 0, 2, n) for n in PICTURES.values()],
        }
        for work, spent in works.items():
            row(model, work, [sum(spent) / number for number in GPUS])
        played = AlignSettings.model_validate({"model": model, **ROUND, **how})
        plans = [
            plan_of(played, Training(outline, training.sides, Ranks(number=n), True, training.free), card.name, card)
            for n in GPUS
        ]
        row(model, "a round of self-play", [sum(one.seconds or 0 for one in plan.phases) for plan in plans])
        row(
            model,
            "of it training",
            [one.seconds or 0 for plan in plans for one in plan.phases if one.name == "training"],
        )


def phases_of(models: dict[str, tuple[Any, dict[str, Any]]], card: Card) -> None:
    """The phases of a round of Show-o on eight GPUs, as `hermes align --dry-run` tells them there."""
    model, (outline, how) = next(iter(models.items()))
    settings = AlignSettings.model_validate({"model": model, **ROUND, **how, "similarity": "bert-cls"})
    training = Training(outline, ("text", "image"), Ranks(number=8), cuda=True, free=84_900_000_000)
    plan = plan_of(settings, training, card.name, card)
    print("| phase | FLOPs | read | memory | time |\n| :-- | --: | --: | --: | --: |")
    for one in plan.phases:
        read, memory = (f"{size / unit:.1f}" if size else "-" for size, unit in ((one.read, 1e12), (one.memory, 1e9)))
        print(f"| {one.name} | {one.flops or 0:.1e} | {read} TB | {memory} GB | {taken(one.seconds)} |")
    print(memory_line(plan))


def row(model: str, work: str, taken: list[float]) -> None:
    print(f"| {model} | {work} | " + " | ".join(f"{each / 3600:,.2f} h" for each in taken) + " |")


if __name__ == "__main__":
    main()
