"""Cycles: what is scored of each generation, the programs' own numbers, and what strangers have."""

import pytest
from asked import aggregated, golden
from judged import assert_fit_generation_twin, response
from PIL import Image
from test_cycle_scores import curves_of

from hermes.evaluators.cycles import CycleImage, CycleText
from hermes.evaluators.drift import DriftImage, DriftText
from hermes.evaluators.mgg import MultiGeneration
from hermes.evaluators.unified import DESCRIBE, UnifiedBench
from hermes.harness.contracts.benchmark import Answer
from hermes.harness.data.tables import load_data
from hermes.harness.records.images import ImageHandle
from hermes.harness.system.errors import HermesError
from hermes.shapes.oracle import OracleJudge

QUESTIONS = [
    {"question": "a?", "answer": "yes", "kind": "exists"},
    {"question": "b?", "answer": "red", "kind": "color"},
]


def rows(names="abc", **more):
    colours = ("red", "green", "blue", "white")
    return [
        {"id": name, "image": Image.new("RGB", (8, 8), colour), "caption": f"a {colour} one", **more}
        for name, colour in zip(names, colours, strict=False)
    ]


def scores_of(evaluator, samples, judgements, protocol="official"):
    """Samples with their scores, from {(id, generation): judgement}."""
    by_id = {sample.id: sample for sample in samples}
    found = []
    for (name, generation), judgement in judgements.items():
        data = evaluator.read_judgement(by_id[name], judgement)
        answer = Answer(by_id[name], response(name, generation - 1), None, data)
        found += [(by_id[name], score) for score in evaluator.scores([answer], protocol)]
    return found


def values(evaluator, samples, judgements, protocol="official"):
    metrics = aggregated(evaluator, scores_of(evaluator, samples, judgements, protocol), protocol)
    return {name: metric.value for name, metric in metrics.items()}


def test_facts_are_counted_on_pictures_alone_and_the_last_one_is_the_headline():
    evaluator = CycleImage(4)
    samples = list(evaluator.samples(rows("ab", questions=QUESTIONS)))
    said = {
        ("a", 1): {},
        ("a", 2): {"answers": ["yes", "red"]},
        ("a", 3): {},
        ("a", 4): {"answers": ["yes", "blue"]},
        ("b", 1): {},
        ("b", 2): {"answers": ["yes", "no"]},
    }
    assert values(evaluator, samples, said) == {
        "kept": 0.5,
        "generation/2": 0.75,
        "generation/4": 0.5,
        "slope": pytest.approx(-0.25),
    }
    unread = scores_of(evaluator, samples, {("a", 2): {"answers": ["hm", "red"]}, ("a", 1): {}})
    assert [score.status for _, score in unread] == ["unparsed", "scored"]


@pytest.mark.parametrize(("evaluator", "pictures"), [(CycleImage(), (2, 4, 6)), (CycleText(), (1, 3, 5))])
def test_the_oracle_finds_every_fact_where_nothing_is_lost(evaluator, pictures):
    items = assert_fit_generation_twin(evaluator)[:8]
    real = {row["id"]: ImageHandle(row["image"]) for row in items}
    answers = [
        Answer(sample, response(sample.id, k - 1), real[sample.id] if k in pictures else None)
        for sample in evaluator.samples(items)
        for k in range(1, 7)
    ]
    spoken = evaluator.ask_judge(answers, OracleJudge.load())
    assert [bool(said) for said in spoken] == [k in pictures for _ in items for k in range(1, 7)]
    judgements = {(a.sample.id, a.response.index + 1): said for a, said in zip(answers, spoken, strict=True)}
    found = values(evaluator, evaluator.samples(items), judgements)
    assert found == {"kept": 1.0, **{f"generation/{k}": 1.0 for k in pictures}, "slope": 0.0}


def test_chains_have_the_drift_of_the_program():
    for case in golden("cycle")["chain_cases"]:
        if case["dropped_row"]:
            continue
        curves = curves_of(case)
        cls = DriftText if case["start"] == "text" else DriftImage
        evaluator = cls(case["max_generations"])
        items = [{"id": name, "image": Image.new("RGB", (8, 8)), "caption": name} for name in curves]
        judgements = {(name, k): {"similarity": value} for name, curve in curves.items() for k, value in curve.items()}
        found = values(evaluator, evaluator.samples(items), judgements)
        expected = pytest.approx(case["expected"]["mcd"], rel=1e-12)
        assert (found["mcd"], found[f"mcd/{case['start']}-{case['compared']}"]) == (expected, expected)


def test_the_rate_of_decline_is_that_of_the_program_where_the_curves_determine_it():
    for case in golden("cycle")["summary_cases"]:
        text = case["means_text_text_text_image_image_image_image_text"][:2]
        evaluator = DriftText(20)
        curves = {
            k: value
            for start, curve in zip((2, 1), text, strict=True)
            for k, value in zip(range(start, 21, 2), curve, strict=True)
        }
        samples = list(evaluator.samples(rows("a")))
        found = values(evaluator, samples, {("a", k): {"similarity": one} for k, one in curves.items()})
        fits = case["expected"]["fits"][:2]
        assert [found[f"sdr_{name}"] for name in "abc"] == pytest.approx(
            [sum(one) / 2 for one in zip(*fits, strict=True)], rel=1e-4
        )
        assert found["mcd"] == pytest.approx(sum(case["expected"]["mcd_each"][:2]) / 2, rel=1e-12)


def test_what_is_left_is_relative_to_the_first_generation_and_to_strangers():
    evaluator = DriftText(5)
    samples = list(evaluator.samples(rows()))
    curve = {1: 0.9, 3: 0.7, 5: 0.5}
    said = {(name, k): {"similarity": value, "stranger": 0.3} for name in "abc" for k, value in curve.items()}
    found = values(evaluator, samples, said, "corrected")
    assert found == {
        "mcd": pytest.approx(0.7),
        "mcd/text-image": pytest.approx(0.7),
        "kept/text-image/1": pytest.approx(1.0),
        "kept/text-image/3": pytest.approx(2 / 3),
        "kept/text-image/5": pytest.approx(1 / 3),
        "strangers/text-image": pytest.approx(0.3),
        "slope/text-image": pytest.approx(-0.1),
    }


@pytest.mark.parametrize("evaluator", [DriftText(), DriftImage()])
def test_each_item_is_held_against_another_and_more_items_change_no_pair(evaluator):
    items = [{"id": str(n), "image": Image.new("RGB", (8, 8), (n, 0, 0)), "caption": f"c{n}"} for n in range(40)]
    every = {sample.id: sample for sample in evaluator.samples(items)}
    strangers = [sample.metadata["stranger"] for sample in every.values()]
    assert strangers[:4] == ["1", "0", "1", "2"]
    assert all(name != other for name, other in zip(every, strangers, strict=True))
    assert len(set(strangers[16:])) == 16
    assert all(every[sample.id] == sample for sample in evaluator.samples(items[:20]))
    (alone,) = evaluator.samples(items[:1])
    assert alone.metadata == {}


class Likens:
    """A judge that says 1 of a picture with itself and of a text with itself, and 0 otherwise."""

    def liken(self, pairs):
        def seen(one):
            return one if isinstance(one, str) else one.getpixel((0, 0))

        return [{"equal": float(seen(a) == seen(b))} for a, b in pairs]


def test_every_generation_is_compared_with_the_beginning_and_with_a_stranger_s():
    items = rows()
    told = DriftText(2)
    samples = list(told.samples(items))
    answers = [
        Answer(one, response(one.id, 1).model_copy(update={"text": one.prompt, "image": None})) for one in samples
    ]
    assert told.ask_judge(answers, Likens()) == [{"similarity": 1.0, "stranger": 0.0, "encoder": "equal"}] * 3
    shown = DriftImage(2)
    first, *others = shown.samples(items)
    drawn = [Answer(one, response(one.id, 1), ImageHandle(items[0]["image"])) for one in (first, *others)]
    found = shown.ask_judge(drawn, Likens())
    assert [one["similarity"] for one in found] == [1.0, 0.0, 0.0]
    assert [one["stranger"] for one in found] == [0.0, 1.0, 0.0]


def test_reconstructions_have_the_programs_means():
    evaluator = UnifiedBench()
    for case in golden("cycle")["unified_bench_cases"]:
        expected = case["expected"]
        by_model = expected["similarities_by_model"]
        names = list(next(iter(by_model.values()), {}))
        if not any(value is not None for found in by_model.values() for value in found.values()):
            continue
        samples = list(evaluator.samples([{"id": name, "image": Image.new("RGB", (8, 8))} for name in names]))
        said = {(name, 2): {"similarities": {model: by_model[model][name] for model in by_model}} for name in names}
        found = values(evaluator, samples, said)
        assert found["overall"] == pytest.approx(expected["summary"]["overall_average"], rel=1e-12)
        for model, told in expected["statistics_by_model"].items():
            assert [found[model], found[f"{model}/min"], found[f"{model}/max"]] == pytest.approx(
                [told[f"{what}_similarity"] for what in ("average", "min", "max")], rel=1e-12
            )


def test_a_folder_of_pictures_is_described_in_the_published_words(tmp_path):
    for name in ("1.png", "0.jpg"):
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    found = list(load_data(UnifiedBench(), str(tmp_path), "test").samples)
    assert [(sample.id, sample.prompt) for sample in found] == [("0", DESCRIBE), ("1", DESCRIBE)]
    with pytest.raises(HermesError, match="takes no argument"):
        UnifiedBench.make("3")


def prompt(tag="colors", **more):
    return {"tag": tag, "prompt": "a red cup", "include": [{"class": "cup", "count": 1, "color": "red"}], **more}


def test_verdicts_on_generations_are_those_of_the_program():
    evaluator = MultiGeneration(3)
    for case in golden("cycle")["mgg_cases"]:
        metadata = {"prompt": "p", **case["metadata"]}
        samples = list(evaluator.samples([metadata]))
        said = {("00000", 1): {"boxes": [[*one] for one in case["detections_score_label_box"]]}}
        ((_, score),) = scores_of(evaluator, samples, said)
        assert (bool(score.values["correct"]), score.reason) == (
            case["expected"]["correct"],
            case["expected"]["reason"],
        )


def test_the_published_program_stops_after_four_prompts():
    evaluator = MultiGeneration(3)
    samples = list(evaluator.samples([prompt() for _ in range(6)]))
    red, blue = (
        {"detections": {"cup": [{"box": [0, 0, 9, 9], "score": 0.5, "color": color}]}} for color in ("red", "blue")
    )
    said = {(sample.id, 1): red for sample in samples} | {(sample.id, 3): blue for sample in samples}
    said |= {(sample.id, 2): {} for sample in samples}
    scores = scores_of(evaluator, samples, said)
    metrics = aggregated(evaluator, scores)
    assert {name: (one.value, one.n) for name, one in metrics.items()} == {
        "overall": (0.5, 8),
        "colors": (0.5, 8),
        "generation/1": (1.0, 4),
        "generation/3": (0.0, 4),
    }
    corrected = aggregated(evaluator, scores_of(evaluator, samples, said, "corrected"), "corrected")
    assert corrected["overall"].n == 12


def test_boxes_of_another_form_are_refused():
    (sample,) = MultiGeneration().samples([prompt()])
    with pytest.raises(HermesError, match="expected"):
        MultiGeneration().read_judgement(sample, {"boxes": [[0.1]]})
    with pytest.raises(HermesError, match="expected"):
        DriftText().read_judgement(sample, {"similarity": "high"})
    with pytest.raises(HermesError, match="expected"):
        UnifiedBench().read_judgement(sample, {"similarities": [1]})
