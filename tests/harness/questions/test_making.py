"""Making questions for a file of captions: by every writer, filtered, resumed, in both forms, and bad input."""

import json
from pathlib import Path

import pytest
from caption_server import caption_server
from PIL import Image
from text_checkpoints import tiny_llama, tiny_t5

from hermes.harness.data.homologous.formats import homologous_rows
from hermes.harness.data.homologous.records import Question, Written
from hermes.harness.questions import making
from hermes.harness.questions.answer_filter import AnswerFilter
from hermes.harness.questions.making import FILTERED, NONE_GIVEN, make_questions
from hermes.harness.questions.rules import OUTSIDE
from hermes.harness.questions.tifa_writer import UNREADABLE
from hermes.harness.system.errors import HermesError

CAPTIONS = ["a photo of a bench", "a man on a horse", "a photo of two cups", "a photo of a red cup"]


@pytest.fixture
def captions(tmp_path):
    rows = [{"id": k, "caption": caption} for k, caption in enumerate(CAPTIONS)]
    path = tmp_path / "captions.json"
    path.write_text(json.dumps(rows))
    return path


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_by_rules_a_caption_outside_is_named_and_not_guessed(captions, tmp_path):
    out = tmp_path / "new" / "questions.jsonl"
    made = make_questions(captions, "rules", out)
    assert (made.captions, made.asked, made.questions) == (4, 3, 2 + 4 + 4)
    assert (made.without, made.malformed, made.filtered, made.failed) == ({OUTSIDE: ("1",)}, 0, 0, {})
    assert [line["id"] for line in lines(out)] == ["0", "1", "2", "3"]
    assert [row["id"] for row in homologous_rows(out, "homologous-g", "test")] == ["0", "2", "3"]


def test_images_are_found_again_from_the_output(captions, tmp_path):
    Image.new("RGB", (2, 2)).save(tmp_path / "a.png")
    captions.write_text(json.dumps([{"id": 1, "img_path": "a.png", "caption": CAPTIONS[0]}]))
    out = tmp_path / "far" / "questions.jsonl"
    make_questions(captions, "rules", out)
    assert lines(out)[0]["image"] == "../a.png"
    (row,) = homologous_rows(out, "homologous-u", "test")
    assert Path(row["image"]).samefile(tmp_path / "a.png")


def test_the_output_beside_the_captions_joins_them(captions, tmp_path):
    out = tmp_path / "questions.jsonl"
    make_questions(captions, "rules", out)
    made = make_questions(tmp_path, "rules", out)
    assert made.captions == 4
    assert [row["id"] for row in homologous_rows(tmp_path, "homologous-g", "test")] == ["0", "2", "3"]


def test_tifas_form_is_read_back_the_same(captions, tmp_path):
    out, tifa = tmp_path / "q.jsonl", tmp_path / "question_answers.json"
    make_questions(captions, "rules", out, tifa_out=tifa)
    rows = json.loads(tifa.read_text())
    keys = ["id", "caption", "question", "choices", "answer", "element_type", "element"]
    assert all(list(row) == keys for row in rows)
    assert list(homologous_rows(tifa, "homologous-g", "test")) == list(homologous_rows(out, "homologous-g", "test"))


class Counting:
    """A writer that asks one question a caption and may be stopped."""

    identity = "counting"

    def __init__(self, stop_at=None, failing=()):
        self.seen, self.stop_at, self.failing = [], stop_at, failing

    def write(self, items):
        if self.stop_at is not None and len(self.seen) + len(items) > self.stop_at:
            raise KeyboardInterrupt
        self.seen += [item.id for item in items]
        question = Question(question="Is it?", answer="yes", choices=("yes", "no"))
        return [Written(error="HTTP 500") if item.id in self.failing else Written((question,)) for item in items]


@pytest.fixture
def use(monkeypatch):
    def using(writer):
        monkeypatch.setattr(making, "make_writer", lambda by, seed, device: writer)
        return writer

    return using


def test_a_stopped_call_goes_on_where_it_was(captions, tmp_path, use):
    use(Counting(stop_at=3))
    with pytest.raises(KeyboardInterrupt):
        make_questions(captions, "x", tmp_path / "q.jsonl", batch_size=1)
    with (tmp_path / "q.jsonl").open("a") as file:
        file.write('{"id": "torn", "by": "coun')
    rest = use(Counting())
    assert make_questions(captions, "x", tmp_path / "q.jsonl").captions == 4
    assert rest.seen == ["3"]
    again = use(Counting())
    make_questions(captions, "x", tmp_path / "q.jsonl")
    assert again.seen == []
    make_questions(captions, "x", tmp_path / "q.jsonl", fresh=True, limit=2)
    assert again.seen == ["0", "1"]


def test_failed_captions_have_no_line_and_are_asked_again(captions, tmp_path, use):
    use(Counting(failing={"2"}))
    made = make_questions(captions, "x", tmp_path / "q.jsonl")
    assert (made.captions, made.failed) == (3, {"2": "HTTP 500"})
    again = use(Counting())
    assert make_questions(captions, "x", tmp_path / "q.jsonl").failed == {}
    assert again.seen == ["2"]


def test_the_output_of_another_writer_is_refused(captions, tmp_path, use):
    make_questions(captions, "rules", tmp_path / "q.jsonl")
    use(Counting())
    with pytest.raises(HermesError, match="holds questions by 'rules-1', not 'counting'"):
        make_questions(captions, "x", tmp_path / "q.jsonl")
    (tmp_path / "q.jsonl").write_text('{"id": 1}\n')
    with pytest.raises(HermesError, match="line 1"):
        make_questions(captions, "x", tmp_path / "q.jsonl")


def test_given_questions_are_filtered_and_counted(captions, tmp_path, monkeypatch):
    checked = []

    def kept(self, captions, questions):
        checked.extend(captions)
        return [found[:1] if caption == "A." else () for caption, found in zip(captions, questions, strict=True)]

    monkeypatch.setattr(AnswerFilter, "kept", kept)
    qa = {"question": "Is it?", "answer": "yes", "choices": ["yes", "no"]}
    rows = [
        {"id": "a", "caption": "A.", "questions": [qa, {**qa, "question": "Was it?"}]},
        {"id": "b", "caption": "B.", "questions": [qa]},
        {"id": "c", "caption": "C."},
    ]
    captions.write_text(json.dumps(rows))
    folder = tiny_t5(tmp_path / "t5")
    made = make_questions(captions, "given", tmp_path / "q.jsonl", keep=str(folder))
    assert (made.asked, made.questions, made.filtered) == (1, 1, 2)
    assert made.without == {FILTERED: ("b",), NONE_GIVEN: ("c",)}
    assert checked == ["A.", "B.", "C."]
    assert lines(tmp_path / "q.jsonl")[0]["by"] == "given filter:t5"


def test_by_tifas_model_with_the_filter_from_checkpoints(captions, tmp_path, monkeypatch):
    monkeypatch.setattr("hermes.harness.questions.tifa_writer.LENGTH", 12)
    llama, t5 = tiny_llama(tmp_path / "llama"), tiny_t5(tmp_path / "t5")
    made = make_questions(captions, f"tifa:{llama}", tmp_path / "q.jsonl", keep=str(t5), device="cpu")
    assert (made.captions, made.asked, made.without) == (4, 0, {UNREADABLE: ("0", "1", "2", "3")})
    assert lines(tmp_path / "q.jsonl")[0]["by"] == "tifa:llama filter:t5"
    with pytest.raises(HermesError, match="no questions"):
        list(homologous_rows(tmp_path / "q.jsonl", "homologous-g", "test"))


def test_by_an_endpoint(captions, tmp_path, monkeypatch):
    pytest.importorskip("openai")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    entry = {"question": "Is it?", "choices": ["yes", "no"], "answer": "yes", "element": "it", "type": "other"}
    with caption_server() as server:
        server.replies = dict.fromkeys(CAPTIONS, json.dumps({"questions": [entry]})) | {CAPTIONS[1]: 400}
        made = make_questions(captions, f"openai:m@{server.address}", tmp_path / "q.jsonl")
        assert (made.asked, list(made.failed)) == (3, ["1"])
        server.replies[CAPTIONS[1]] = "no JSON"
        made = make_questions(captions, f"openai:m@{server.address}", tmp_path / "q.jsonl")
        assert (made.asked, made.failed) == (3, {})
        assert [len(names) for names in made.without.values()] == [1]
        assert sorted(server.asked) == sorted([*CAPTIONS, CAPTIONS[1]])


@pytest.mark.parametrize("by", ["", "gpt", "openai", "openai:", "tifa:", "rules:x"])
def test_unknown_writers_are_named(captions, tmp_path, by):
    with pytest.raises(HermesError, match="unknown writer of questions"):
        make_questions(captions, by, tmp_path / "q.jsonl")
    assert not (tmp_path / "q.jsonl").exists()


def test_bad_captions_are_refused_in_one_line(tmp_path):
    path = tmp_path / "captions.json"
    for content, message in (
        ([], "has no captions"),
        ([{"id": 1, "questions": [{"question": "q", "answer": "a"}]}], "no caption"),
    ):
        path.write_text(json.dumps(content))
        with pytest.raises(HermesError, match=message):
            make_questions(path, "rules", tmp_path / "q.jsonl")
    with pytest.raises(HermesError, match="does not exist"):
        make_questions(tmp_path / "nowhere", "rules", tmp_path / "q.jsonl")


def test_an_output_that_cannot_be_written_is_named(captions, tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(HermesError, match="cannot be written to"):
        make_questions(captions, "rules", tmp_path / "file" / "q.jsonl")
