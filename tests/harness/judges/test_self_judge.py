"""The model as its own judge is asked and read like every other chat model."""

from collections.abc import Sequence

import pytest
from PIL import Image

from hermes.harness.judges.replies import asked
from hermes.harness.judges.self_judge import SelfJudge
from hermes.harness.models.null import NullModel
from hermes.harness.records.types import Request
from hermes.harness.system.errors import HermesError


class Talker(NullModel):
    """Answers in sentences, and remembers what it was asked."""

    def __init__(self, *replies: str) -> None:
        super().__init__()
        self.replies = replies
        self.requests: Sequence[Request] = ()

    def understand(self, requests: Sequence[Request]) -> list[str]:
        self.requests = requests
        return list(self.replies)


def test_it_is_asked_and_read_like_other_judges():
    model = Talker("Yes, it is.", "**No**", "two dogs.")
    questions = ["Is there a dog?", "Is it red?", "How many?"]
    pictures = [Image.new("RGB", (4, 4), (shade, 0, 0)) for shade in range(3)]
    assert SelfJudge(model).answer(pictures, questions) == ["yes", "no", "two dogs"]
    assert [request.prompt for request in model.requests] == [asked(question) for question in questions]
    assert [request.images[0].open().getpixel((0, 0)) for request in model.requests] == [(n, 0, 0) for n in range(3)]
    assert {request.config.temperature for request in model.requests} == {0.0}


def test_its_identity_is_that_of_the_model_and_of_the_prompt():
    assert SelfJudge(Talker()).identity == "self-null-null-1-prompt1-reader1"


def test_it_cannot_be_had_without_a_model_and_detects_nothing():
    with pytest.raises(HermesError, match="in a run of a model"):
        SelfJudge.load(None, "cpu")
    with pytest.raises(HermesError, match="cannot detect"):
        SelfJudge(Talker()).detect([], [])
