"""Cycle scores against the results of the programs that print them, and drift on curves worked by hand."""

from pathlib import PurePath

import pytest
from asked import golden

from hermes.evaluators.cycle_scores import (
    cosine,
    decay,
    decay_rate,
    drift,
    generation_means,
    mean_cumulative_drift,
)
from hermes.evaluators.mgg_verdict import multi_generation_scores, multi_generation_verdict
from hermes.evaluators.unified_bench import reconstruction_scores, reconstruction_statistics
from hermes.harness.system.errors import HermesError


def curves_of(case):
    """The similarities of a chain to what it began with, by the file's name and the generation."""
    captions = {int(k): {row["filename"]: row["caption"] for row in rows} for k, rows in case["captions"].items()}
    pictures = {int(k): found for k, found in case["image_vectors"].items()}

    def vector(kind, k, name):
        return case["text_vectors"][captions[k][name]] if kind == "text" else pictures[k][PurePath(name).stem]

    names = sorted(captions[min(captions)])
    same = case["start"] == case["compared"]
    return {
        name: {
            k: cosine(vector(case["start"], 0, name), vector(case["compared"], k, name))
            for k in range(2 if same else 1, case["max_generations"] + 1, 2)
        }
        for name in names
    }


def test_chains_have_the_similarities_and_the_drift_of_the_program():
    for case in golden("cycle")["chain_cases"]:
        if case["dropped_row"]:  # the program ends with an error there; a chain that lacks a row is shorter here
            continue
        curves = curves_of(case)
        generations, means = generation_means(curves)
        expected = case["expected"]
        assert {name: {str(k): value for k, value in curve.items()} for name, curve in curves.items()} == expected[
            "scores"
        ]
        assert (generations, means, mean_cumulative_drift(means)) == tuple(
            expected[key] for key in ("generations", "means", "mcd")
        )


def test_fits_are_those_of_the_program_where_the_curve_determines_them():
    cases = golden("cycle")
    for case in cases["fit_cases"]:
        if case["kind"] == "decay":
            assert decay(case["x"], case["y"]) == pytest.approx(case["expected"]["params"], rel=1e-4)
    for case in cases["summary_cases"]:
        curves = case["means_text_text_text_image_image_image_image_text"]
        expected = case["expected"]
        each = [mean_cumulative_drift(curve) for curve in curves]
        fits = [decay(x, y) for x, y in zip(directions(), curves, strict=True)]
        assert each == expected["mcd_each"]
        assert mean_cumulative_drift(each) == expected["mcd"]
        assert fits == [pytest.approx(fit, rel=1e-4) for fit in expected["fits"]]
        assert decay_rate(fits) == pytest.approx(expected["sdr_mean_a_b_c"], rel=1e-4)


def directions():
    """The generations at which the four directions are compared: those of the other kind are the odd ones."""
    even, odd = list(range(2, 21, 2)), list(range(1, 20, 2))
    return even, odd, even, odd


def test_a_straight_line_has_no_decay():
    with pytest.raises(HermesError, match="no decay fits"):
        decay(range(2, 21, 2), [0.86 - 0.02 * k for k in range(2, 21, 2)])


def test_verdicts_on_generations_are_those_of_the_program():
    cases = golden("cycle")
    for case in cases["mgg_cases"]:
        told = multi_generation_verdict(case["metadata"], case["detections_score_label_box"])
        assert told == (case["expected"]["correct"], case["expected"]["reason"])
    for case in cases["mgg_summary_cases"]:
        runs = case["results_by_generation"]
        assert [multi_generation_scores(run) for run in runs] == case["expected"]["per_generation"]
        pooled = multi_generation_scores([one for run in runs for one in run])
        assert {
            task: {"correct": one["correct"], "total": one["total"], "accuracy_printed": f"{one['accuracy']:.2f}"}
            for task, one in pooled.items()
        } == case["expected"]["summary"]


def test_reconstructions_are_matched_and_averaged_as_by_the_program():
    for case in golden("cycle")["unified_bench_cases"]:
        expected, averages = case["expected"], {}
        for model in case["models"]:
            pairs = case["pair_similarities"]
            found = reconstruction_scores(
                case["generated_files"],
                case["reference_files"],
                lambda name, reference, of=pairs, by=model: of[f"{by}|{name}|{reference}"],
            )
            assert found == expected["similarities_by_model"][model]
            told = reconstruction_statistics(found)
            assert (told["valid_pairs"] > 0) == (model in expected["statistics_by_model"])
            if told["valid_pairs"]:
                assert told == expected["statistics_by_model"][model]
                averages[model] = told["average_similarity"]
        assert averages == expected["summary"].get("average_scores_by_model", {})
        if averages:
            assert mean_cumulative_drift(list(averages.values())) == expected["summary"]["overall_average"]


def test_drift_is_relative_to_the_first_generation_and_to_strangers():
    curves = {"a": {1: 0.9, 3: 0.7, 5: 0.5}, "b": {1: 0.7, 3: 0.5}, "c": {1: 0.8}}
    told = drift(curves, baseline=0.3)
    assert told["chains"] == {1: 3, 3: 2, 5: 1}
    assert told["kept"] == pytest.approx({1: 1.0, 3: 0.6 / 1.0, 5: 0.2 / 0.6})
    assert told["slope"] == pytest.approx(-0.1)
    assert drift({}, 0.0) == {"kept": {}, "slope": None, "chains": {}}
