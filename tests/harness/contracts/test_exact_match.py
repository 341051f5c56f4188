"""A benchmark in a few lines: what counts as right, what rows may hold, and errors that name the row."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pytest
from PIL import Image

from hermes.harness.contracts.benchmark import Answer, Row
from hermes.harness.contracts.exact_match import ExactMatch
from hermes.harness.records.types import Response, Sample, Score
from hermes.harness.system.errors import HermesError

PICTURE = Image.new("RGB", (4, 4), "red")


class Quiz(ExactMatch):
    name = "quiz"
    columns = ("question", "answer")

    def prompt(self, row: Row) -> str:
        return str(row["question"])

    def gold(self, row: Row) -> Any:
        return row["answer"]

    def choices(self, row: Row) -> Any:
        return row.get("options", ())


def sample(row: Mapping[str, Any]) -> Sample:
    (only,) = Quiz().samples([{"question": "Why?", **row}])
    return only


def score(row: Mapping[str, Any], reply: str | None, quiz: ExactMatch | None = None) -> Score:
    asked = sample(row)
    response = Response(sample_id=asked.id, index=0, seed=0, prompt_sha256="", text=reply)
    return (quiz or Quiz()).score(Answer(asked, response), "official")


def test_what_an_author_leaves_out_has_a_default() -> None:
    assert (Quiz.title, Quiz.version, Quiz.ability, Quiz.protocols) == ("quiz", "1", "understanding", ("official",))
    assert (Quiz.headline, Quiz.unit, Quiz.chance, Quiz.best) == ("accuracy", "%", 0.0, 100.0)
    assert (Quiz.config.max_new_tokens, Quiz.config.temperature) == (32, 0.0)
    assert Quiz.data.columns == ("question", "answer")
    assert not Quiz.standard
    assert Quiz().own_rows() is None


@pytest.mark.parametrize("reply", ["blue", "Blue", " blue.\n", "BLUE .", "navy"])
def test_case_outer_space_and_a_final_period_do_not_count(reply: str) -> None:
    found = score({"answer": [" Blue", "navy."]}, reply)
    assert (found.values, found.status) == ({"correct": 1.0}, "scored")


@pytest.mark.parametrize(("gold", "reply", "right"), [("blue", "dark blue", 0), ("blue", "blue..", 0), (3, "3", 1)])
def test_anything_else_does(gold: Any, reply: str, right: float) -> None:
    assert score({"answer": gold}, reply).values == {"correct": right}


@pytest.mark.parametrize("reply", ["", "  ", ".", None])
def test_an_empty_reply_is_unparsed_and_wrong(reply: str | None) -> None:
    found = score({"answer": "blue"}, reply)
    assert (found.values, found.status, found.reason) == ({"correct": 0.0}, "unparsed", "the answer is empty")


def test_choices_are_listed_and_asked_for_by_letter() -> None:
    found = sample({"answer": "red", "options": ["blue", "red"]})
    assert found.prompt.startswith("Why?\nA. blue\nB. red\nAnswer with the option's letter")
    assert (found.choices, found.target) == (("blue", "red"), ["B"])


@pytest.mark.parametrize("reply", ["B", "b.", "(B)", "B)", "B. red", "(b) Red.", "red"])
@pytest.mark.parametrize("gold", ["red", "B", "b"])
def test_a_choice_is_named_by_its_letter_its_text_or_both(gold: str, reply: str) -> None:
    assert score({"answer": gold, "options": ["blue", "red"]}, reply).values == {"correct": 1.0}


@pytest.mark.parametrize(("reply", "status"), [("A", "scored"), ("C", "unparsed"), ("green", "unparsed")])
def test_other_choices_are_wrong_and_none_is_unparsed(reply: str, status: str) -> None:
    found = score({"answer": "red", "options": ["blue", "red"]}, reply)
    assert (found.values, found.status) == ({"correct": 0.0}, status)


def test_of_options_that_are_letters_a_reply_means_the_letter_and_a_gold_answer_the_option() -> None:
    row = {"answer": "A", "options": ["B", "A"]}
    assert sample(row).target == ["B"]
    assert score(row, "B").values == {"correct": 1.0}


def test_ids_and_images_come_from_the_row() -> None:
    rows: list[Row] = [
        {"question": "1", "answer": "x", "image": PICTURE},
        {"question": "2", "answer": "x", "id": 17, "image_2": PICTURE, "image_10": PICTURE, "image_3": None},
        {"question": "3", "answer": "x", "id": None},
    ]
    found = list(Quiz().samples(rows))
    assert [sample.id for sample in found] == ["1", "17", "3"]
    assert [len(sample.images) for sample in found] == [1, 2, 0]
    assert [handle.where for handle in found[1].images] == ["quiz row 17, image 2", "quiz row 17, image 10"]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (
            {"answer": "x", "question": 3, "options": 7},
            "quiz row 1 (it has question, answer, options): choices() fails",
        ),
        ({}, "quiz row 1 (it has question): gold() fails: KeyError: 'answer' (test_exact_match.py, line"),
        ({"answer": None, "id": "q7"}, "quiz row q7: gold() gives None, neither text nor a number"),
        ({"answer": []}, "quiz row 1: gold() gives no answer"),
        ({"answer": [["x"]]}, "quiz row 1: gold() gives ['x'], neither"),
        ({"answer": "."}, "quiz row 1: gold() gives '.'"),
        ({"answer": "C", "options": ["x", "y"]}, "quiz row 1: gold() gives 'C', which is none of the choices x, y"),
        ({"answer": 1, "options": range(27)}, "quiz row 1: choices() gives 27 options"),
        ({"answer": "x", "image": None}, "quiz row 1: the image is empty"),
    ],
)
def test_an_error_names_the_row(row: Mapping[str, Any], said: str) -> None:
    with pytest.raises(HermesError) as raised:
        sample(row)
    assert said in str(raised.value)


def test_a_prompt_that_is_no_text_is_refused() -> None:
    class Mute(Quiz):
        name = "mute"

        def prompt(self, row: Row) -> str:
            return None  # type: ignore[return-value]

    with pytest.raises(HermesError, match=r"mute row 1: prompt\(\) gives a NoneType, not text"):
        list(Mute().samples([{"answer": "x"}]))


def test_another_way_to_score_is_one_method() -> None:
    class Contains(Quiz):
        name = "contains"

        def right(self, reply: str, accepted: Any) -> bool:
            return any(answer in reply for answer in accepted)

    class Broken(Quiz):
        name = "broken"

        def right(self, reply: str, accepted: Any) -> bool:
            raise ValueError("no")

    assert score({"answer": "Blue"}, "It is blue, I think", Contains()).values == {"correct": 1.0}
    with pytest.raises(HermesError, match=r"broken row 1: right\(\) fails: ValueError: no"):
        score({"answer": "Blue"}, "blue", Broken())


def test_own_rows_are_read_one_by_one_and_their_errors_named() -> None:
    class Own(Quiz):
        name = "own"

        def rows(self) -> Iterator[Any]:
            yield {"question": "1", "answer": "x"}
            yield from self.more

        more: Any = (["no row"],)

    def read(more: Iterable[Any]) -> list[Any]:
        Own.more = more
        return list(Own().own_rows() or ())

    assert len(read([{}])) == 2
    with pytest.raises(HermesError, match=r"own: rows\(\) gives a list as row 2, not a dict"):
        read([["no row"]])
    with pytest.raises(HermesError, match=r"own: rows\(\) fails after row 1: ZeroDivisionError"):
        read(1 / 0 for _ in "a")


def test_accuracy_is_in_percent_and_counts_unparsed_answers() -> None:
    scores = [score({"id": n, "answer": "x"}, reply) for n, reply in enumerate(["x", "X.", "", "y"])]
    metric = Quiz().aggregate(((sample({"answer": "x"}), one) for one in scores), "official")["accuracy"]
    assert (metric.value, metric.n, metric.groups) == (50.0, 4, 4)
