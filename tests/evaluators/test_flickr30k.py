"""Flickr30k: its twin, its metrics against the reference scorers, empty answers, intervals."""

import pytest
from asked import PICTURE, aggregated, assert_fit_twin, golden, scored, the_twin, twin_rows

from hermes.evaluators.caption_metrics import caption_scores
from hermes.evaluators.flickr30k import Flickr30k, Flickr30k1K
from hermes.harness.system.errors import HermesError

ROW = {"image": PICTURE, "caption": ["a", "b"], "sentids": ["0", "1"], "img_id": "7", "filename": "7.jpg"}


def test_twin_has_five_different_references_an_image() -> None:
    rows = assert_fit_twin(Flickr30k())
    assert all(len(set(row["caption"])) == 5 for row in rows)
    assert len({sentence for row in rows for sentence in row["sentids"]}) == 5 * len(rows)


def test_prompt() -> None:
    (sample,) = Flickr30k().samples([ROW])
    assert sample.prompt == "Provide a one-sentence caption for the provided image."


@pytest.mark.parametrize("protocol", Flickr30k.protocols)
def test_equals_the_reference_scorers(protocol: str) -> None:
    recorded = golden("flickr30k")
    rows = [{**ROW, "img_id": str(case["image_id"]), "caption": case["references"]} for case in recorded["cases"]]
    scores, metrics = scored(Flickr30k(), rows, [case["candidate"] for case in recorded["cases"]], protocol)
    names = {"cider": "CIDEr", "rouge_l": "ROUGE_L", **{f"bleu_{n}": f"Bleu_{n}" for n in range(1, 5)}}
    assert metrics == pytest.approx({name: 100 * recorded["aggregates"][theirs] for name, theirs in names.items()})
    for ours, theirs in {"cider": "CIDEr", "rouge_l": "ROUGE_L", "bleu_4": "Bleu_4"}.items():
        assert [score.values[ours] for score in scores] == pytest.approx(
            [case["expected"][theirs] for case in recorded["cases"]]
        )
    assert metrics["cider"] == pytest.approx(recorded["aggregates"]["CIDEr_x100"])


def test_empty_answers_count_as_unparsed_captions() -> None:
    rows = twin_rows(Flickr30k)[:20]
    good = [row["caption"][0] for row in rows]
    scores, metrics = scored(Flickr30k(), rows, ["", " . ", *good[2:]], "official")
    assert [score.status for score in scores] == ["unparsed"] * 2 + ["scored"] * 18
    everything, full = scored(Flickr30k(), rows, good, "official")
    assert all(score.status == "scored" for score in everything)
    assert metrics["cider"] == pytest.approx(100 * sum(score.values["cider"] for score in everything[2:]) / 20)
    assert metrics["cider"] < full["cider"]


def test_the_interval_is_that_of_the_images() -> None:
    rows = twin_rows(Flickr30k)
    samples = list(Flickr30k().samples(rows))
    replies = [row["caption"][k % 5] for k, row in enumerate(rows)]
    scores, values = scored(Flickr30k(), rows, replies, "official")
    metric = aggregated(Flickr30k(), zip(samples, scores, strict=True))["cider"]
    assert metric.n == metric.groups == 300
    assert metric.low is not None
    assert metric.high is not None
    assert metric.low < values["cider"] < metric.high
    spread = 100 * (sum((score.values["cider"] - values["cider"] / 100) ** 2 for score in scores) / 300**2) ** 0.5
    assert metric.high - metric.low == pytest.approx(2 * 1.96 * spread, rel=0.15)


def test_best_is_the_agreement_of_the_references_in_the_shapes_world() -> None:
    captions = [row["caption"] for row in twin_rows(Flickr30k)]
    agreement = [
        100
        * caption_scores([five[k] for five in captions], [five[:k] + five[k + 1 :] for five in captions]).cider.mean()
        for k in range(5)
    ]
    assert sum(agreement) / 5 == pytest.approx(the_twin(Flickr30k).best, rel=0.03)


def test_the_two_real_sets_are_told_apart_by_name() -> None:
    assert (Flickr30k.data.n, Flickr30k1K.data.n) == (31783, 1000)
    assert "31,783" in Flickr30k.title
    assert "Karpathy 1K" in Flickr30k1K.title
    assert not Flickr30k1K.standard
    (sample,) = Flickr30k1K().samples([{"image": PICTURE, "caption": ["a"], "img_id": 3}])
    assert (sample.id, sample.target) == ("3", ("a",))


@pytest.mark.parametrize("caption", ["one sentence", [], [1, 2], None])
def test_rows_without_a_list_of_captions_are_named(caption: object) -> None:
    with pytest.raises(HermesError, match="flickr30k image 7"):
        list(Flickr30k().samples([{**ROW, "caption": caption}]))
