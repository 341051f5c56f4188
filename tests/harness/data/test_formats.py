"""Homologous rows from every form in which others keep them, and what is refused."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from hermes.harness.data.homologous.formats import homologous_rows, read_items
from hermes.harness.data.homologous.splits import files_of
from hermes.harness.data.image_places import IMAGE_ROOT
from hermes.harness.data.json_stream import json_values
from hermes.harness.data.rows import good_rows
from hermes.harness.system.errors import HermesError

TIFA = Path(__file__).parents[4] / "shared" / "realdata" / "tifa"
CAT = {"question": "is this a cat?", "choices": ["yes", "no"], "answer": "yes", "element_type": "animal/human"}
HOW_MANY = {"question": "how many cats?", "choices": ["1", "2", "3", "4"], "answer": "2", "element_type": "counting"}
FIRST = {"id": 7, "img_path": "a.png", "prompt": "cat --v 5", "caption": "Two cats.", "questions": [CAT, HOW_MANY]}


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def picture(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 4)).save(path)
    return path


def rows(source, split="test"):
    return list(good_rows(homologous_rows(source, "homologous-u", split)))


def read(*files):
    return {item.id: item for item in read_items(files)}


@pytest.mark.parametrize(
    "content",
    [
        [FIRST],
        json.dumps(FIRST) + "\n",
        json.dumps(FIRST, indent=4) + ",\n",
        "[\n" + json.dumps(FIRST, indent=4) + ",\n]",
        {"7": {key: value for key, value in FIRST.items() if key != "id"}},
    ],
    ids=["list", "lines", "appended", "comma before the end", "by id"],
)
def test_journeydb_style_rows(tmp_path, content):
    image = picture(tmp_path / "a.png")
    (row,) = rows(write(tmp_path / "rows.json", content))
    assert (row["id"], row["caption"], row["image"]) == ("7", "Two cats.", str(image))
    assert row["questions"] == [
        {"question": CAT["question"], "answer": "yes", "kind": "animal/human", "choices": ["yes", "no"]},
        {"question": HOW_MANY["question"], "answer": "2", "kind": "counting", "choices": ["1", "2", "3", "4"]},
    ]


def test_our_own_rows_keep_their_kinds(tmp_path):
    row = {"id": "x", "caption": "c", "questions": [{"question": "q?", "answer": 3, "kind": "count"}]}
    assert rows(write(tmp_path / "homologous-u.jsonl", json.dumps(row))) == [
        {"id": "x", "image": None, "caption": "c", "questions": [{"question": "q?", "answer": "3", "kind": "count"}]}
    ]


def test_the_files_of_hermesflow_as_its_scripts_leave_them(tmp_path):
    """Objects appended with commas, one a question, paths from the repository's root, captions without questions."""
    home = tmp_path / "datasets" / "journeydb"
    image = picture(home / "initial_images" / "238.jpg")
    base = {"id": 238, "img_path": "datasets/journeydb/initial_images/238.jpg", "prompt": "p", "caption": "Two cats."}
    write(home / "initial_data.json", [base, {**base, "id": 9, "caption": "No question passed the filter."}])
    appended = [{"caption": base["caption"], "element": "cat", **qa, **base} for qa in (CAT, HOW_MANY)]
    write(home / "vqa_data.json", "".join(json.dumps(row, indent=4) + ",\n" for row in appended))
    (row,) = rows(home)
    assert (row["id"], row["image"]) == ("238", str(image))
    assert [qa["element"] for qa in row["questions"]] == ["cat", "cat"]
    assert rows(home / "vqa_data.json") == [row]


def test_journeydb_annotations(tmp_path):
    line = {
        "img_path": "./000/abc.png",
        "prompt": "a cat --v 5",
        "Task1": {"Style": []},
        "Task2": {"Caption": "A cat."},
        "Task3": {
            "Content Relevant Questions and Answers": [
                {"Question": "What is it?", "Options": {"A": "dog", "B": "cat"}, "Answer": "B"},
                {"Question": "What color is it?", "Options": {"A": "red", "B": "blue"}, "Answer": "red"},
                {"Question": "Without an answer?"},
            ],
            "Style Relevant Questions and Answers": [],
        },
    }
    image = picture(tmp_path / "imgs" / "000" / "abc.png")
    (row,) = rows(write(tmp_path / "train_anno.jsonl", json.dumps(line) + "\n"))
    assert (row["id"], row["caption"]) == ("abc", "A cat.")
    assert Path(row["image"]).samefile(image)
    assert row["questions"] == [
        {"question": "What is it?", "answer": "cat", "kind": "content", "choices": ["dog", "cat"]},
        {"question": "What color is it?", "answer": "red", "kind": "content", "choices": ["red", "blue"]},
    ]


def tifa_folder(folder, images=True):
    write(folder / "text_inputs.json", [{"id": "b", "caption": "B."}, {"id": "a", "caption": "A."}])
    asked = [{"id": name, "caption": f"{name.upper()}.", "element": "cat", **CAT} for name in ("a", "b")]
    write(folder / "question_answers.json", [*asked, {**asked[0], **HOW_MANY}])
    if images:
        write(folder / "imgs.json", {"a": "a.png", "b": str(picture(folder / "far" / "b.png"))})
        picture(folder / "a.png")
    return folder


def test_the_files_of_tifa_are_joined_by_id(tmp_path):
    found = {row["id"]: row for row in rows(tifa_folder(tmp_path))}
    assert [len(found[name]["questions"]) for name in "ab"] == [2, 1]
    assert [Path(found[name]["image"]).relative_to(tmp_path).as_posix() for name in "ab"] == ["a.png", "far/b.png"]


def test_captions_without_images_have_none(tmp_path):
    assert [row["image"] for row in rows(tifa_folder(tmp_path, images=False))] == [None, None]


def test_the_real_files_of_tifa(tmp_path):
    if not TIFA.is_dir():
        pytest.skip("TIFA's files are not here")
    files = [TIFA / f"sample_{name}.json" for name in ("text_inputs", "question_answers", "imgs")]
    items = read(*files)
    assert {name: len(item.questions) for name, item in items.items()} == {"coco_301091": 11, "drawbench_52": 8}
    assert items["drawbench_52"].image.endswith("drawbench_52.jpg")
    assert rows(files[1])[0]["questions"][1]["choices"] == ["surfer", "swimmer", "diver", "skier"]
    texts = read(TIFA / "tifa_v1.0_text_inputs.json")
    assert len(texts) == 4081
    assert all(item.caption and item.questions is None for item in texts.values())
    assert [row["id"] for row in rows(TIFA)] == ["coco_301091", "drawbench_52"]


def test_a_given_folder_of_images_comes_first(tmp_path, monkeypatch):
    file = write(tmp_path / "here" / "rows.json", [FIRST])
    picture(tmp_path / "here" / "a.png")
    other = picture(tmp_path / "there" / "a.png")
    assert next(iter(read_items([file], images=other.parent))).image == str(other)
    monkeypatch.setenv(IMAGE_ROOT, str(other.parent))
    assert rows(file)[0]["image"] == str(other)


def test_a_folder_may_hold_splits(tmp_path):
    for split, name in (("train", "x"), ("test", "y")):
        write(tmp_path / f"{split}.jsonl", json.dumps({**FIRST, "id": name}))
    assert [rows(tmp_path, split)[0]["id"] for split in ("train", "test")] == ["x", "y"]
    write(tmp_path / "homologous-u.jsonl", json.dumps({**FIRST, "id": "z"}))
    assert rows(tmp_path, "train")[0]["id"] == "z"


def test_parquet_rows(tmp_path):
    pandas = pytest.importorskip("pandas")
    picture(tmp_path / "a.png")
    table = pandas.DataFrame([{"id": "7", "image": "a.png", "caption": "c", "questions": [CAT]}])
    table.to_parquet(tmp_path / "homologous.parquet")
    (row,) = rows(tmp_path)
    assert row["image"] == str(tmp_path / "a.png")
    assert row["questions"][0]["choices"] == ["yes", "no"]


@pytest.mark.parametrize("written", [json.dumps, str, lambda choices: str(choices).replace(",", "")])
def test_choices_may_be_written_as_text(tmp_path, written):
    """As in a CSV of one question a row: JSON, Python, numpy."""
    asked = {"id": "a", "caption": "A cat.", **CAT, "choices": written(CAT["choices"])}
    pandas = pytest.importorskip("pandas")
    pandas.DataFrame([asked]).to_csv(tmp_path / "questions.csv", index=False)
    (row,) = rows(tmp_path / "questions.csv")
    assert row["questions"][0]["choices"] == ["yes", "no"]


def test_a_line_that_says_why_it_has_no_questions_is_left_out(tmp_path):
    lines = [{**FIRST, "id": 1}, {**FIRST, "id": 2, "questions": [], "reason": "outside"}]
    assert [row["id"] for row in rows(write(tmp_path / "rows.jsonl", "\n".join(map(json.dumps, lines))))] == ["1"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([FIRST, FIRST], "the id '7' stands in two rows"),
        ([{**FIRST, "questions": []}], "homologous item 7: questions must be a list"),
        ([{**FIRST, "questions": [{"question": "q?"}]}], "homologous item 7: every answer must be text, not None"),
        ([{**FIRST, "questions": [{**CAT, "choices": "yes, no"}]}], "must be a list, not text"),
        ([{**FIRST, "questions": ["q?"]}], "is no question"),
        ([{"id": 1, "caption": "c"}], "`hermes data questions` makes some"),
        ([FIRST, {"id": 1, "caption": "c"}], "item '1' has no questions"),
        ([{"id": 1, "questions": [CAT]}], "item '1' has questions but no caption"),
        ([{**CAT, "caption": "c"}], "row 1 asks a question but has no id"),
        ([{**FIRST, "caption": ["c"]}], "caption must be text, not list"),
        (["x"], "row 1 is not an object"),
        ('[{"id": 1}', "line 1 is not valid JSON .the list has no end."),
        ('{"id": 1}\n{"id": ', "line 2 is not valid JSON"),
        ('{"id": 1}]', "follows the last"),
        ("", "no questions"),
    ],
)
def test_what_is_refused_is_named_in_one_line(tmp_path, content, message):
    with pytest.raises(HermesError, match=message) as error:
        rows(write(tmp_path / "rows.json", content))
    assert "\n" not in str(error.value)


def test_files_that_contradict_each_other_are_refused(tmp_path):
    files = [write(tmp_path / "a.json", [FIRST]), write(tmp_path / "b.json", [{"id": 7, "caption": "Else."}])]
    with pytest.raises(HermesError, match=r"b\.json: item '7' has other caption"):
        read(*files)


def test_a_folder_without_rows_is_refused(tmp_path):
    with pytest.raises(HermesError, match="holds no rows"):
        files_of(tmp_path, "homologous-u")
    with pytest.raises(HermesError, match="does not exist"):
        files_of(tmp_path / "nowhere", "homologous-u")


JSON = st.dictionaries(st.text(), st.none() | st.integers() | st.text(), min_size=1)


@given(st.lists(JSON, min_size=1), st.sampled_from(["", ",", ",\n"]), st.sampled_from([None, 0, 4]))
def test_objects_are_read_however_they_were_appended(tmp_path_factory, values, last, indent):
    path = tmp_path_factory.mktemp("json") / "x.json"
    body = ",\n".join(json.dumps(value, indent=indent) for value in values) + last
    for text in (body, f"[{body}]", f" [\n{body} ]\n"):
        path.write_text(text)
        assert list(json_values(path)) == values
