"""TIFA's question model: its prompt, the reading of its text, and a tiny checkpoint through the real code path."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from text_checkpoints import tiny_llama

from hermes.harness.data.homologous.records import Item
from hermes.harness.questions.checkpoints import load_text_model
from hermes.harness.questions.tifa_writer import TYPES, UNREADABLE, TifaWriter, prompt, read
from hermes.harness.system.errors import HermesError

TEXT = """ rabbit, plane
Activities:
Colors: blue, red
Counting:
Other attributes:
Questions and answers are below:
About rabbit (animal):
Q: is this a rabbit?
Choices: yes, no
A: yes
Q: what animal is in the picture?
Choices: rabbit, cat, dog, bird
A: rabbit
About red (color):
Q: what color is the plane?
Choices: red, blue, sea green, black
A: red

Description: something that was never asked for
About cat (animal):
Q: is this a cat?
Choices: yes, no
A: yes
"""


def test_the_prompt_is_in_the_form_of_llama_2():
    text = prompt("a blue rabbit")
    head, tail = text.split("Description: ")
    assert tail == "a blue rabbit [/INST] Entities:"
    assert head.startswith("<s>[INST] <<SYS>>\nGiven an image description, generate one or two")
    assert head.endswith("and then generate a question for each type.\n\n<</SYS>>\n\n")
    assert f"({', '.join(TYPES)})" in head


def test_questions_are_read_up_to_the_first_empty_line():
    written = read(TEXT)
    assert [(q.question, q.answer, q.kind, q.element) for q in written.questions] == [
        ("is this a rabbit?", "yes", "animal/human", "rabbit"),
        ("what animal is in the picture?", "rabbit", "animal/human", "rabbit"),
        ("what color is the plane?", "red", "color", "red"),
    ]
    assert written.questions[2].choices == ("red", "blue", "sea green", "black")
    assert (written.reason, written.malformed) == ("", 0)


def about(head="About cat (animal):", question="Q: is this a cat?", choices="Choices: yes, no", answer="A: yes"):
    return "\n".join(line for line in (head, question, choices, answer) if line)


@pytest.mark.parametrize(
    "broken",
    [
        about(head="About cat (mood):"),
        about(head="About cat"),
        about(question=""),
        about(choices=""),
        about(answer="A: maybe"),
        about(answer="A:"),
    ],
)
def test_broken_questions_are_counted_and_the_others_kept(broken):
    assert read(broken).malformed == 1
    assert read(broken).reason == UNREADABLE
    written = read(f"{broken}\n{about()}")
    assert ([q.question for q in written.questions], written.malformed) == (["is this a cat?"], 1)


@given(st.text() | st.lists(st.sampled_from([*TEXT.splitlines(), "A: ", "About (x):", "Q:", "\n"])).map("\n".join))
def test_whatever_the_model_writes_is_read(text):
    written = read(text)
    assert bool(written.questions) is (written.reason == "")
    for question in written.questions:
        assert question.answer in question.choices
        assert question.question
        assert question.kind == "animal/human" or question.kind in TYPES


WORD = st.text("abcdefgh é'-", min_size=1).map(str.strip).filter(bool)


@given(st.lists(st.tuples(WORD, WORD, st.lists(WORD, min_size=2, max_size=4), st.sampled_from(TYPES)), min_size=1))
def test_what_is_written_in_the_form_is_read_again(wanted):
    blocks = [
        about(f"About {element} ({kind}):", f"Q: {question}", f"Choices: {', '.join(choices)}", f"A: {choices[0]}")
        for element, question, choices, kind in wanted
    ]
    written = read("\n".join(blocks))
    assert [(q.element, q.question, list(q.choices), q.answer) for q in written.questions] == [
        (element, question, choices, choices[0]) for element, question, choices, _ in wanted
    ]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return load_text_model("AutoModelForCausalLM", str(tiny_llama(tmp_path_factory.mktemp("llama"))), "cpu")


def test_a_checkpoint_is_asked_in_batches(model, monkeypatch):
    captions = ["a cat", "two dogs and a very long caption " * 3, "x"]
    texts = model.generate([prompt(caption) for caption in captions], False, 16, beams=5)
    assert texts == [model.generate([prompt(caption)], False, 16, beams=5)[0] for caption in captions]
    assert all(0 < len(text) <= 16 for text in texts)
    monkeypatch.setattr("hermes.harness.questions.tifa_writer.LENGTH", 16)
    written = TifaWriter(model).write([Item(str(k), caption) for k, caption in enumerate(captions)])
    assert [one.reason for one in written] == [UNREADABLE] * 3


def test_only_the_prompts_own_s_stands_before_it(model, monkeypatch):
    seen = []

    def generate(**asked):
        seen.append(asked["input_ids"][0].tolist())
        return asked["input_ids"]

    monkeypatch.setattr(model.model, "generate", generate)
    TifaWriter(model).write([Item("x", "a cat")])
    assert (seen[0][0], seen[0].count(model.tokenizer.bos_token_id)) == (model.tokenizer.bos_token_id, 1)


def test_the_identity_names_the_checkpoint_and_not_its_folder(model):
    assert "/" not in TifaWriter(model).identity
    assert TifaWriter(replace(model, identity="a/b@123")).identity == "tifa:a/b@123"


def test_what_is_no_checkpoint_is_refused_in_one_line(tmp_path: Path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(HermesError, match="cannot be loaded as a text model") as error:
        load_text_model("AutoModelForCausalLM", str(tmp_path), "cpu")
    assert "\n" not in str(error.value)
