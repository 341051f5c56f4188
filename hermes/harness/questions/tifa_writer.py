"""Questions by TIFA's fine-tuned LLaMA 2: its prompt, and the reading of what it writes.

Source: tifascore/question_gen_llama2.py of Yushi-Hu/tifa at b764a19 (paper: arXiv:2303.11897); HermesFlow uses it
unchanged. Five beams, no sampling. There prompt and answer share 512 tokens; here the answer has 512 alone, so that no
question is cut off and a batch changes nothing. The prompt holds its own ``<s>``, so the tokenizer must add none. What
is written up to the first empty line is read: ``About element (type):``, then ``Q:``, ``Choices:`` and ``A:`` lines.
Questions of a type that TIFA does not know are left out there and here; here also those whose answer is not among their
choices, which the reference leaves to the filter.
"""

import re
from collections.abc import Sequence

from hermes.harness.data.homologous.records import Item, Question, Written
from hermes.harness.questions.checkpoints import TextModel

CHECKPOINT = "tifa-benchmark/llama2_tifa_question_generation"
TYPES = (
    "object",
    "human",
    "animal",
    "food",
    "activity",
    "attribute",
    "counting",
    "color",
    "material",
    "spatial",
    "location",
    "shape",
    "other",
)
LENGTH = 512
BEAMS = 5
UNREADABLE = "no question could be read from the model's text"
# The very words that the checkpoint was trained with, its slip of grammar included.
INSTRUCTION = (
    "Given an image description, generate one or two multiple-choice questions that verifies if the image description"
    " is correct.\nClassify each concept into a type ("
    + ", ".join(TYPES)
    + "), and then generate a question for each type.\n"
)
_ABOUT = re.compile(r"About (.+?) \(([^()]*)\)")


class TifaWriter:
    """Questions of the TIFA checkpoint, batched."""

    def __init__(self, model: TextModel, beams: int = BEAMS) -> None:
        self.model, self.beams = model, beams
        self.identity = f"tifa:{model.identity}"

    def write(self, items: Sequence[Item]) -> list[Written]:
        prompts = [prompt(item.caption or "") for item in items]
        return [read(text) for text in self.model.generate(prompts, False, LENGTH, self.beams)]


def prompt(caption: str) -> str:
    """What the checkpoint continues, from the list of entities on."""
    return f"<s>[INST] <<SYS>>\n{INSTRUCTION}\n<</SYS>>\n\nDescription: {caption} [/INST] Entities:"


def tifa_type(kind: str) -> str | None:
    """The type as TIFA's files have it: people and animals are one. None for a type that TIFA does not know."""
    if kind not in TYPES:
        return None
    return "animal/human" if kind in ("animal", "human") else kind


def read(text: str) -> Written:
    """The questions in the model's text; anything else in it is passed over, and broken questions are counted."""
    questions: list[Question] = []
    malformed = 0
    element, kind, fields = "", "", dict[str, str]()
    for line in text.split("\n\n")[0].splitlines():
        name, colon, value = line.partition(":")
        if found := _ABOUT.match(line):
            element, kind, fields = found[1], found[2], {}
        elif colon and name in ("Q", "Choices", "A"):
            fields[name] = value.strip()
            if name == "A":
                question = _question(element, kind, fields)
                malformed += question is None
                questions += [question] if question else []
                fields = {}
    return Written(tuple(questions), "" if questions else UNREADABLE, malformed)


def _question(element: str, kind: str, fields: dict[str, str]) -> Question | None:
    choices = tuple(filter(None, fields.get("Choices", "").split(", ")))
    known = tifa_type(kind)
    if known is None or not element or not fields.get("Q") or fields["A"] not in choices:
        return None
    return Question(question=fields["Q"], answer=fields["A"], kind=known, choices=choices, element=element)
