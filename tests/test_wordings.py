"""The wording test: in other words a model's yes and no give the same U, G and gap, or are counted as unparsed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

WORDY = '''
from hermes.harness.models.tiny.adapter import NAME, TinyModel
from hermes.harness.records.types import ModelInfo

FORMS = {FORMS!r}


class Wordy(TinyModel):
    """hermes-tiny, which says yes and no in the words of "wordy:NUMBER"."""

    name = "wordy"

    @classmethod
    def sources(cls, reference):
        return []  # the weights that ship with Hermes

    @classmethod
    def load(cls, reference, device):
        model = super().load(NAME, device)
        model.form = FORMS[int(reference.partition(":")[2])]
        return model

    @property
    def info(self):
        return super().info.model_copy(update={{"name": "wordy", "fingerprint": self.form}})

    def understand(self, requests):
        said = super().understand(requests)
        return [self.form.replace("WORD", text) if text in ("yes", "no") else text for text in said]
'''
READ = ("WORD", "WORD.", "**WORD**", "WORD, it is so.", "Answer: WORD", "The answer is WORD.")
READ += ("<think>No. Or yes?</think>\n\nWORD", "no, yes, no</think>WORD!")
UNREAD = ("I would say WORD", "Is it so? WORD, it is.")


@pytest.fixture
def measured(command: Callable[..., Any], tmp_path: Path) -> Callable[[int], tuple[Any, ...]]:
    """`measured(number)`: U, G and gap of a wording, and how many answers are unparsed on either side."""
    (tmp_path / "wordy.py").write_text(WORDY.format(FORMS=(*READ, *UNREAD)))

    def run(number: int) -> tuple[Any, ...]:
        out = tmp_path / f"run-{number}"
        said = command(
            *("eval", "--plugin", "wordy.py", "--model", f"wordy:{number}", "--tasks", "homologous-u,homologous-g"),
            *("--judge", "self", "--limit", 6, "--device", "cpu", "--quiet", "--out", out),
        )
        assert said.code == 0, said.err
        content = json.loads((out / "results.json").read_text())
        gap = content["gap"]["homologous"]
        unparsed = [content["results"][f"homologous-{side}"]["counts"]["unparsed"] for side in "ug"]
        return gap["u"]["value"], gap["g"]["value"], gap["gap"]["value"], unparsed

    return run


def test_ten_wordings_give_the_same_or_are_counted(measured: Callable[[int], tuple[Any, ...]]) -> None:
    plain = measured(0)
    assert plain[3] == [0, 0]
    assert [measured(number) for number in range(1, len(READ))] == [plain] * (len(READ) - 1)
    for number in range(len(READ), len(READ) + len(UNREAD)):
        u, g, _, unparsed = measured(number)
        assert all(unparsed)
        assert u < plain[0]
        assert g < plain[1]
