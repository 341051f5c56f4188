"""Homologous items: the same questions both ways, the reading of answers, and the twin under the oracle."""

import json
import random
from pathlib import Path

import pytest
from asked import PICTURE, scored, the_twin, twin_rows
from judged import BLANK, assert_fit_generation_twin, score_images, score_judgements

import hermes
from hermes.evaluators.homologous import Generation, Understanding
from hermes.evaluators.homologous_replies import YES
from hermes.harness.contracts.prompts import SHORT_ANSWER
from hermes.harness.data.tables import load_data
from hermes.harness.questions.making import make_questions
from hermes.harness.run.gap import homologous_gap
from hermes.harness.system.errors import HermesError
from hermes.shapes.captions import full
from hermes.shapes.draw import draw
from hermes.shapes.scene import random_scene


def item(name, *pairs):
    questions = [{"question": f"{name} {k}?", "answer": answer, "kind": kind} for k, (answer, kind) in enumerate(pairs)]
    return {"id": name, "image": PICTURE, "caption": f"a picture of {name}", "questions": questions}


ROWS = [item("a", ("yes", "exists"), ("red", "color")), item("b", ("2", "count"))]


def test_both_sides_ask_the_same_of_the_same_items():
    asked, drawn = list(Understanding().samples(ROWS)), list(Generation().samples(ROWS))
    assert [sample.prompt for sample in asked] == [f"{q}{SHORT_ANSWER}" for q in ("a 0?", "a 1?", "b 0?")]
    assert [sample.group_id for sample in asked] == ["a", "a", "b"]
    assert [(sample.id, sample.group_id, sample.prompt) for sample in drawn] == [
        ("a", "a", "a picture of a"),
        ("b", "b", "a picture of b"),
    ]
    assert [sample.target for sample in asked] == [qa["answer"] for sample in drawn for qa in sample.target]


def test_items_weigh_alike_and_the_gap_pairs_them():
    u_scores, u = scored(Understanding(), ROWS, ["Yes", "blue", "two"], "official")
    g_scores, g = score_judgements(Generation(), ROWS, {"a": [{"answers": ["no", "red"]}], "b": [{"answers": ["3"]}]})
    assert u["accuracy"] == pytest.approx((0.5 + 1) / 2)
    assert g["accuracy"] == pytest.approx((0.5 + 0) / 2)
    assert u == {"accuracy": 0.75, "kind/color": 0, "kind/count": 1, "kind/exists": 1, "yes_gold": 1, "yes_said": 1}
    assert g == {"accuracy": 0.25, "kind/color": 1, "kind/count": 0, "kind/exists": 0, "yes_gold": 1, "yes_said": 0}
    gap = homologous_gap(u_scores, g_scores)
    assert gap is not None
    assert gap["gap"].value == pytest.approx(0.5)
    assert gap["items"] == 2


def test_answers_without_a_word_are_unparsed_and_wrong():
    scores, metrics = scored(Understanding(), ROWS, ["yes", "...", "2"], "official")
    assert [score.status for score in scores] == ["scored", "unparsed", "scored"]
    assert metrics["accuracy"] == pytest.approx(0.75)
    scores, metrics = score_judgements(Generation(), ROWS, {"a": [{"answers": ["", ""]}], "b": [{"answers": ["2"]}]})
    assert [score.status for score in scores] == ["unparsed", "scored"]
    assert metrics["accuracy"] == pytest.approx(0.5)


def test_the_twins_are_fit_and_hold_the_same_rows():
    rows = assert_fit_generation_twin(Generation())
    assert twin_rows(Understanding) == rows
    asked = list(Understanding().samples(rows))
    assert len(asked) == len({sample.id for sample in asked}) == the_twin(Understanding).n
    assert asked[0].images[0].open().size == (48, 48)


def test_true_pictures_score_one_and_blank_ones_little():
    rows = twin_rows(Generation)
    pictures = {row["id"]: row["image"] for row in rows}
    scores, metrics = score_images(Generation(), rows, lambda sample: pictures[sample.id])
    assert {value for name, value in metrics.items() if name not in YES} == {1.0}
    assert metrics["yes_gold"] == metrics["yes_said"]
    assert {score.status for score in scores} == {"scored"}
    _, blank = score_images(Generation(), rows, lambda sample: BLANK)
    assert blank["accuracy"] < 0.2


@pytest.mark.parametrize("broken", ["yes", [], [{"question": "Is it?"}], ["Is it?"]])
@pytest.mark.parametrize("side", [Understanding, Generation])
def test_a_broken_row_is_named(side, broken):
    with pytest.raises(HermesError, match="homologous item a"):
        list(side().samples([item("a") | {"questions": broken}]))


def test_a_right_answer_without_a_word_is_refused():
    with pytest.raises(HermesError, match="the answer to 'a 0\\?' is '\\?'; use a split that has answers"):
        list(Understanding().samples([item("a", ("?", "sign"))]))


def test_choices_are_kept_and_not_shown():
    row = item("a", ("red", "color"))
    row["questions"][0]["choices"] = ["red", "blue"]
    (asked,), (drawn,) = Understanding().samples([row]), Generation().samples([row])
    assert (asked.prompt, asked.choices) == (f"a 0?{SHORT_ANSWER}", ("red", "blue"))
    assert drawn.target[0]["choices"] == ["red", "blue"]


ITEMS = 6


@pytest.fixture
def journeydb(tmp_path: Path) -> Path:
    """A folder as HermesFlow has it: pictures of shapes, their captions, and TIFA-style questions made by rules."""
    home = tmp_path / "datasets" / "journeydb"
    (home / "initial_images").mkdir(parents=True)
    rng = random.Random(0)
    rows = []
    for number in range(ITEMS):
        scene = random_scene(rng)
        path = home / "initial_images" / f"{number}.png"
        draw(scene).save(path)
        caption = full(scene, rng)
        rows.append({"id": number, "img_path": str(path.relative_to(tmp_path)), "prompt": "--v 5", "caption": caption})
    (home / "initial_data.json").write_text("".join(json.dumps(row, indent=4) + ",\n" for row in rows))
    make_questions(home, "rules", tmp_path / "q.jsonl", tifa_out=home / "vqa_data.json")
    return home


def test_a_folder_in_journeydbs_form_end_to_end(journeydb, tmp_path):
    content = hermes.evaluate(
        model="null",
        tasks=("homologous-u", "homologous-g"),
        data=str(journeydb),
        judge="oracle",
        out=tmp_path / "run",
        device="cpu",
    )
    u, g = (content["results"][name] for name in ("homologous-u", "homologous-g"))
    assert (u.n, u.n_expected, u.partial, u.data.world) == (ITEMS * 6, ITEMS * 6, False, "real")
    assert (g.n, g.n_expected, g.partial, g.counts["error"]) == (ITEMS, ITEMS, False, 0)
    assert content["gap"]["homologous"]["items"] == ITEMS
    targets = [qa["answer"] for row in Understanding().local_rows(journeydb, "test") for qa in row["questions"]]
    assert u.metrics["accuracy"].value == pytest.approx(sum(answer == "yes" for answer in targets) / len(targets))


def test_a_limit_makes_a_run_of_real_data_partial(journeydb):
    info = load_data(Generation(), str(journeydb), "test", limit=2).info
    assert (info.n, info.n_expected) == (2, ITEMS)


def test_both_sides_read_the_same_items(journeydb):
    asked = load_data(Understanding(), str(journeydb), "test").samples
    drawn = load_data(Generation(), str(journeydb), "test").samples
    assert list(dict.fromkeys(sample.group_id for sample in asked)) == [sample.id for sample in drawn]
    assert [sample.target for sample in asked] == [qa["answer"] for sample in drawn for qa in sample.target]
    assert next(iter(asked)).images[0].open().size == (48, 48)


def test_captions_without_images_serve_the_generation_side_alone(journeydb):
    (journeydb / "initial_data.json").unlink()
    assert load_data(Generation(), str(journeydb), "test").info.n == ITEMS
    with pytest.raises(HermesError, match="homologous item 0 has no image to be asked about"):
        load_data(Understanding(), str(journeydb), "test")


def test_a_missing_image_is_named(journeydb):
    (journeydb / "initial_images" / "3.png").unlink()
    with pytest.raises(HermesError, match=r"homologous item 3: the image does not decode .*3\.png"):
        load_data(Understanding(), str(journeydb), "test")


def test_self_play_on_a_folder_in_journeydbs_form(journeydb, tmp_path):
    settings = {
        "model": "hermes-tiny",
        "data": str(journeydb),
        "rounds": 1,
        "items": 2,
        "n": 2,
        "replay": 0.0,
        "eval_limit": 2,
        "similarity": "facts",
        "critic": "oracle",
        "threshold": 0.0,
        "pairing": "either",
        "epochs": 1,
        "out": tmp_path / "run",
        "device": "cpu",
    }
    with pytest.raises(HermesError, match="needs a judge that can answer"):
        hermes.align(**settings)
    history = hermes.align(**settings, judge="oracle", fresh=True)
    last = history["rounds"][-1]
    assert last["round"] == 1
    assert last["pairs"] > 0
    assert last["gap"]["value"] == pytest.approx(last["u"]["value"] - last["g"]["value"])
