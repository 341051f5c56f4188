"""The reference scorers' inputs, written as rows and responses in the data sets' columns, through `hermes score`."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from hermes.evaluators.mgg import STOPS_AFTER
from hermes.evaluators.mme import YES
from hermes.evaluators.unison_ic import read_table

GOLDEN = Path(__file__).parents[2] / "shared" / "parity" / "scorers"
Score = Callable[..., tuple[dict[str, float], dict[tuple[str, int], dict[str, Any]]]]
CLOSE = {"rel": 1e-9, "abs": 1e-12}
FIGURES = {
    "accuracy": ("acc", "pope_accuracy"),
    "precision": ("precision", "pope_precision"),
    "recall": ("recall", "pope_recall"),
    "f1": ("f1", "pope_f1_score"),
    "yes_ratio": ("yes_ratio", "pope_yes_ratio"),
}


def golden(name: str) -> dict[str, Any]:
    path = GOLDEN / f"{name}.json"
    if not path.exists():
        pytest.skip("the reference scorers' results are not here")
    loaded: dict[str, Any] = json.loads(path.read_text())
    return loaded


def lines(path: Path, entries: Iterable[Mapping[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    return path


@pytest.fixture
def score(command: Callable[..., Any], tmp_path: Path) -> Score:
    """`score(task, rows, responses, protocol)`: metric values, and Score records by (id, index)."""

    def run(
        task: str, rows: Iterable[Mapping[str, Any]], responses: Iterable[Mapping[str, Any]], protocol: str
    ) -> tuple[dict[str, float], dict[tuple[str, int], dict[str, Any]]]:
        data, given = lines(tmp_path / "rows.jsonl", rows), lines(tmp_path / "responses.jsonl", responses)
        arguments = ("--task", task, "--protocol", protocol, "--data", data, "--responses", given)
        said = command("score", *arguments, "--json", "--per-sample", tmp_path / "samples.jsonl")
        assert said.code == 0, said.err
        result = json.loads(said.out)
        assert (result["evaluator"], result["protocol"]) == (task, protocol)
        scores = [json.loads(line) for line in (tmp_path / "samples.jsonl").read_text().splitlines()]
        values = {name: metric["value"] for name, metric in result["metrics"].items()}
        return values, {(entry["sample_id"], entry["index"]): entry for entry in scores}

    return run


def texts(answers: Sequence[str]) -> list[dict[str, Any]]:
    return [{"id": number, "response": answer} for number, answer in enumerate(answers)]


@pytest.mark.parametrize("protocol", ["official", "llava", "lmms-eval"])
def test_pope(score: Score, protocol: str) -> None:
    data = golden("pope")
    lmms = protocol == "lmms-eval"
    rows = [
        {"id": k, "question": case["question"], "answer": case["label"], "category": case["category"]}
        for k, case in enumerate(data["cases"])
    ]
    metrics, scores = score("pope", rows, texts([case["answer"] for case in data["cases"]]), protocol)
    for k, case in enumerate(data["cases"]):
        assert scores[str(k), 0]["prediction"] == case["expected"]["lmms_pred" if lmms else "official_pred"]
        assert scores[str(k), 0]["values"]["correct"] == case["expected"]["lmms_score" if lmms else "official_correct"]
    for category, expected in data["aggregates"]["per_category"].items():
        for ours, theirs in FIGURES.items():
            value = expected["lmms" if lmms else "official"][theirs[lmms]]
            assert metrics[f"{category}/{ours}"] == pytest.approx(100 * value, **CLOSE)
    if lmms:
        expected = {ours: 100 * data["aggregates"]["lmms_all"][theirs[1]] for ours, theirs in FIGURES.items()}
    else:
        aggregates = data["aggregates"]
        expected = {"accuracy": 100 * aggregates["official_mean_acc_over_categories"]}
        expected["f1"] = 100 * aggregates["official_mean_f1_over_categories"]
    assert {name: metrics[name] for name in expected} == pytest.approx(expected, **CLOSE)


@pytest.mark.parametrize("protocol", ["official", "lmms-eval"])
def test_pope_degenerate_sets(score: Score, protocol: str) -> None:
    for case in golden("pope")["degenerate_sets"]:
        if case["name"] == "uppercase_label":  # "No" in the rows is read as "no"; see tests/evaluators for the script's
            continue
        rows = [{"id": k, "answer": label, "category": "random"} for k, label in enumerate(case["labels"])]
        metrics, scores = score("pope", rows, texts(case["answers"]), protocol)
        if protocol == "official":
            assert [entry["prediction"] for entry in scores.values()] == case["official_preds"]
        for ours, theirs in FIGURES.items():
            value = case["official" if protocol == "official" else "lmms"][theirs[protocol != "official"]]
            if value is not None:
                assert metrics[ours] == pytest.approx(100 * value, **CLOSE), case["name"]


@pytest.mark.parametrize(("protocol", "key"), [("official", "official"), ("lmms-eval", "lmms")])
def test_mme(score: Score, protocol: str, key: str) -> None:
    data = golden("mme")
    rows = [
        {
            "id": k,
            "question_id": case["image"],
            "question": case["question"],
            "answer": case["answer_gt"],
            "category": case["category"],
        }
        for k, case in enumerate(data["cases"])
    ]
    metrics, scores = score("mme", rows, texts([case["answer"] for case in data["cases"]]), protocol)
    for k, case in enumerate(data["cases"]):
        assert scores[str(k), 0]["prediction"] == case["expected"][f"{key}_pred"]
        correct = case["expected"]["official_correct" if key == "official" else "lmms_score"]
        assert scores[str(k), 0]["values"]["correct"] == correct
    aggregates = data["aggregates"][key]
    if key == "official":
        expected = {name.lower(): value for name, value in aggregates["totals"].items()} | aggregates["tasks"]
    else:
        sums = {name: aggregates[f"mme_{name}_score"] for name in ("perception", "cognition")}
        expected = sums | aggregates["per_task"]
    assert {name: metrics[name] for name in metrics if name not in YES} == pytest.approx(expected, **CLOSE)


@pytest.mark.parametrize("protocol", ["official", "lmms-eval"])
def test_mme_degenerate_sets(score: Score, protocol: str) -> None:
    for case in golden("mme")["degenerate_sets"]:
        labels = [
            (task, place, label) for task, found in case["labels_per_task"].items() for place, label in enumerate(found)
        ]
        rows = [
            {"id": k, "question_id": f"{task}/{place // 2}", "answer": label, "category": task}
            for k, (task, place, label) in enumerate(labels)
        ]
        replies = [case["answers_template"].replace("<gt>", label) for _, _, label in labels]
        metrics, _ = score("mme", rows, texts(replies), protocol)
        if protocol == "official":
            expected = {name.lower(): value for name, value in case["official"]["totals"].items()}
            expected |= case["official"]["tasks"]
        else:
            expected = {name: case["lmms"][f"mme_{name}_score"] for name in ("perception", "cognition")}
        assert {name: metrics[name] for name in expected} == pytest.approx(expected, **CLOSE), case["name"]


def test_mme_answers_of_several_lines(score: Score) -> None:
    cases = golden("mme")["lmms_only_multiline_answers"]
    rows = [{"id": k, "question_id": k, "answer": "Yes", "category": "existence"} for k in range(len(cases))]
    _, scores = score("mme", rows, texts([case["answer"] for case in cases]), "lmms-eval")
    assert [entry["prediction"] for entry in scores.values()] == [case["lmms_pred"] for case in cases]


@pytest.mark.parametrize(("protocol", "key"), [("official", "official"), ("lmms-eval", "lmms")])
def test_vqav2(score: Score, protocol: str, key: str) -> None:
    data = golden("vqav2")
    columns = ("question_id", "question", "question_type", "answer_type", "answers")
    rows = [{"id": case["question_id"], **{name: case[name] for name in columns}} for case in data["cases"]]
    given = [{"id": case["question_id"], "response": case["prediction"]} for case in data["cases"]]
    metrics, scores = score("vqav2", rows, given, protocol)
    for case in data["cases"]:
        entry = scores[str(case["question_id"]), 0]
        assert entry["prediction"] == case["expected"][f"{key}_prediction_compared"]
        assert entry["values"]["accuracy"] == pytest.approx(case["expected"][f"{key}_accuracy"], **CLOSE)
    if key == "lmms":
        assert metrics["accuracy"] == pytest.approx(100 * data["aggregates"]["lmms_exact_match_mean"], **CLOSE)
    else:
        expected = data["aggregates"]["official"]
        assert metrics["accuracy"] == pytest.approx(100 * data["aggregates"]["official_mean_unrounded"], **CLOSE)
        named = {"accuracy": expected["overall"], **expected["perAnswerType"]}
        assert {name: round(metrics[name], 2) for name in named} == named


@pytest.mark.parametrize(("protocol", "key"), [("official", "official"), ("lmms-eval", "lmms")])
def test_vqav2_without_answer_ids(score: Score, protocol: str, key: str) -> None:
    for case in golden("vqav2")["no_answer_id_sets"]:
        bare = [{"answer": said} for said in case["answers"]]
        rows = [{"id": 0, "answers": bare, "answer_type": "other"}]
        rows += [{"id": 1, "answers": case["answers"], "answer_type": "other"}]
        _, scores = score("vqav2", rows, texts([case["prediction"]] * 2), protocol)
        without = case[f"{key}_accuracy_when_answer_dicts_have_no_id"]
        assert scores["0", 0]["values"]["accuracy"] == pytest.approx(without, **CLOSE)
        assert scores["1", 0]["values"]["accuracy"] == pytest.approx(case["official_accuracy_with_ids"], **CLOSE)


@pytest.mark.parametrize(
    ("protocol", "correct", "aggregate"),
    [
        ("official", "official_correct_raw", "official_on_raw_predictions"),
        ("llava", "official_correct_after_llava_conversion", "official_after_llava_conversion"),
        ("lmms-eval", "lmms_exact_match", None),
    ],
)
def test_gqa(score: Score, protocol: str, correct: str, aggregate: str | None) -> None:
    data = golden("gqa")
    columns = ("imageId", "question", "answer", "isBalanced", "types", "semantic", "groups", "entailed")
    rows = [{"id": case["question_id"], **{name: case[name] for name in columns}} for case in data["cases"]]
    given = [{"id": case["question_id"], "response": case["prediction"]} for case in data["cases"]]
    metrics, scores = score("gqa", rows, given, protocol)
    for case in data["cases"]:
        assert scores[case["question_id"], 0]["values"]["correct"] == case["expected"][correct]
    if aggregate is None:
        assert metrics["accuracy"] == pytest.approx(100 * data["aggregates"]["lmms_exact_match_mean_all_rows"], **CLOSE)
        balanced = [row for row in rows if row["isBalanced"]]
        kept = {row["id"] for row in balanced}
        metrics, _ = score("gqa", balanced, [entry for entry in given if entry["id"] in kept], protocol)
        expected = 100 * data["aggregates"]["lmms_exact_match_mean_balanced_rows"]
        assert metrics["accuracy"] == pytest.approx(expected, **CLOSE)
        return
    printed = data["aggregates"][aggregate]
    expected = {"accuracy": printed["Accuracy"], "binary": printed["Binary"], "open": printed["Open"]}
    for kind in ("structural", "semantic"):
        expected |= {f"{kind}/{name}": found["acc"] for name, found in printed[f"Accuracy / {kind} type"].items()}
    assert {name: round(metrics[name], 2) for name in expected} == expected


@pytest.mark.parametrize(("protocol", "key"), [("official", "official"), ("lmms-eval", "lmms")])
@pytest.mark.parametrize("listed", [True, False])
def test_mmmu(score: Score, protocol: str, key: str, listed: bool) -> None:
    data = golden("mmmu")
    rows = [
        {
            "id": case["id"],
            "options": case["options"] if listed else str(case["options"]),
            "answer": case["answer"] if listed or isinstance(case["answer"], str) else str(case["answer"]),
            "question_type": case["question_type"],
        }
        for case in data["cases"]
    ]
    given = [{"id": case["id"], "response": case["response"]} for case in data["cases"]]
    metrics, scores = score("mmmu", rows, given, protocol)
    for case in data["cases"]:
        entry = scores[case["id"], 0]
        assert entry["prediction"] == case["expected"][f"{key}_parsed"]
        assert entry["values"]["correct"] == case["expected"][f"{key}_correct"]
        if case["question_type"] == "multiple-choice":
            assert (entry["status"] == "unparsed") == case["expected"][f"{key}_random_fallback"]
    if key == "lmms":
        assert round(metrics["accuracy"] / 100, 5) == data["aggregates"]["lmms_overall_rounded5"]
        printed, digits = data["aggregates"]["lmms_printed"], 5
    else:
        exact = data["aggregates"]["official_unrounded"]
        expected = {"accuracy": exact["overall"], **exact["per_discipline"]}
        expected |= {name: found["acc"] for name, found in exact["per_subject"].items()}
        assert metrics == pytest.approx({name: 100 * value for name, value in expected.items()}, **CLOSE)
        printed, digits = data["aggregates"]["official_main_eval_only_rounded3"], 3
    for name, found in printed.items():
        ours = "accuracy" if name == "Overall" else name.removeprefix("Overall-")
        assert round(metrics[ours] / 100, digits) == found["acc"], name


def caption_rows(cases: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [{"id": case["image_id"], "caption": case["references"]} for case in cases]


def caption_figures(expected: Mapping[str, float]) -> dict[str, float]:
    names = {"cider": "CIDEr", "rouge_l": "ROUGE_L", **{f"bleu_{n}": f"Bleu_{n}" for n in range(1, 5)}}
    return {ours: 100 * expected[theirs] for ours, theirs in names.items()}


@pytest.mark.parametrize("protocol", ["official", "lmms-eval"])
def test_flickr30k(score: Score, protocol: str) -> None:
    data = golden("flickr30k")
    given = [{"id": case["image_id"], "response": case["candidate"]} for case in data["cases"]]
    metrics, scores = score("flickr30k", caption_rows(data["cases"]), given, protocol)
    assert metrics == pytest.approx(caption_figures(data["aggregates"]), **CLOSE)
    for case in data["cases"]:
        values, expected = scores[str(case["image_id"]), 0]["values"], case["expected"]
        assert values["cider"] == pytest.approx(expected["CIDEr"], **CLOSE)
        assert values["rouge_l"] == pytest.approx(expected["ROUGE_L"], **CLOSE)
        assert values["bleu_4"] == pytest.approx(expected["Bleu_4"], rel=1e-7)
    for subset in data["subset_aggregates"].values():
        chosen = [data["cases"][k] for k in subset["indices"]]
        metrics, _ = score("flickr30k", caption_rows(chosen), [given[k] for k in subset["indices"]], protocol)
        assert metrics == pytest.approx(caption_figures(subset), **CLOSE)
    for name, expected in data["empty_candidate_sets"].items():
        place, count = (int(word) for word in name.split("_") if word.isdigit())
        some = [entry | {"response": ""} if k == place else entry for k, entry in enumerate(given[:count])]
        metrics, scores = score("flickr30k", caption_rows(data["cases"][:count]), some, protocol)
        assert metrics == pytest.approx(caption_figures(expected), **CLOSE)
        assert set(scores[str(given[place]["id"]), 0]["values"].values()) == {0.0}


def detections(case: Mapping[str, Any], name: object, index: int) -> dict[str, Any]:
    return {"id": name, "index": index, "judgement": {"detections": case["detections"]}}


def test_geneval(score: Score) -> None:
    data = golden("geneval")
    rows: dict[str, dict[str, Any]] = {}
    given = []
    for case in data["cases"]:
        prompt, _, image = case["image"].partition("/")
        rows[prompt] = {"id": prompt, **case["metadata"]}
        given.append(detections(case, prompt, int(image.removesuffix(".png"))))
    metrics, scores = score("geneval", rows.values(), given, "official")
    for case, answer in zip(data["cases"], given, strict=True):
        entry = scores[answer["id"], answer["index"]]
        assert (entry["values"]["correct"] == 1, entry["reason"]) == (
            case["expected"]["correct"],
            case["expected"]["reason"],
        )
    aggregates = data["aggregates"]
    expected = {"overall": aggregates["overall_unrounded"], **aggregates["task_means_unrounded"]}
    assert {name: metrics[name] for name in expected} == pytest.approx(expected, **CLOSE)
    (right,) = [line for line in aggregates["summary_scores_stdout_lines"] if "correct prompts" in line]
    assert f"{metrics['prompts']:.2%}" == right.rpartition(" ")[2]
    assert sum(entry["status"] == "scored" for entry in scores.values()) == aggregates["images"]


def test_geneval_written_by_hand(score: Score) -> None:
    cases = golden("geneval")["hand_written_metadata"]
    rows = [{"id": k, **case["metadata"]} for k, case in enumerate(cases)]
    _, scores = score("geneval", rows, [detections(case, k, 0) for k, case in enumerate(cases)], "official")
    for k, case in enumerate(cases):
        assert scores[str(k), 0]["values"]["correct"] == case["expected"]["correct"]
        assert scores[str(k), 0]["reason"] == case["expected"]["reason"]


@pytest.mark.parametrize("protocol", ["official", "corrected"])
def test_dpg_bench(score: Score, protocol: str) -> None:
    for suite in golden("dpg")["suites"]:
        rows = [dict(zip(suite["csv_columns"], values, strict=True)) for values in suite["csv_rows"]]
        given = [
            {
                "id": item,
                "index": index,
                "judgement": {
                    "answers": {
                        row["proposition_id"]: crop[row["question_natural_language"]]
                        for row in rows
                        if row["item_id"] == item
                    }
                },
            }
            for item in suite["images"]
            for index, crop in enumerate(suite["answers"][item][: suite["pic_num"]])
        ]
        metrics, scores = score("dpg_bench", rows, given, protocol)
        expected = suite[f"expected_{protocol}"]
        wanted = {"overall": expected["dpg_bench_score_x100"]}
        levels = {"": ("L1", "L2")}
        if protocol == "corrected":
            levels = {"raw/": ("L1_raw_answers", "L2_raw_answers")}
            levels[""] = ("L1_after_dependency_zeroing", "L2_after_dependency_zeroing")
        for prefix, (first, second) in levels.items():
            wanted |= {prefix + name: value for name, value in expected[first].items()}
            wanted |= {f"{prefix}L2/{name}": value for name, value in expected[second].items()}
        assert metrics == pytest.approx(wanted, **CLOSE), suite["name"]
        for item in suite["images"]:
            found = [
                values["score"]
                for index in range(suite["pic_num"])
                if (values := scores[item, index]["values"]) and "score" in values
            ]
            crops = expected["per_image"].get(item, {"crop_scores": []})["crop_scores"]
            assert found == pytest.approx(crops, **CLOSE), (suite["name"], item)


@pytest.mark.parametrize("protocol", ["official", "corrected"])
def test_geneval2(score: Score, protocol: str) -> None:
    names = ("first_token_probabilities", "vqascore_first_token_probabilities")
    for run in golden("geneval2")["runs"]:
        given = [{"id": one["prompt"], "judgement": {name: one[name] for name in names}} for one in run["items"]]
        metrics, scores = score("geneval2", run["items"], given, protocol)
        if protocol == "corrected":
            expected = run["expected_corrected"]
            wanted = {"soft_tifa_am": expected["am"], "soft_tifa_gm": expected["gm"]}
            soft = expected["soft"]
        else:
            wanted = run["expected_totals"]
            soft = [one["expected"]["soft"] for one in run["items"]]
        assert {name: metrics[name] for name in wanted} == pytest.approx(wanted, **CLOSE), run["name"]
        for one, values in zip(run["items"], soft, strict=True):
            assert scores[one["prompt"], 0]["prediction"] == pytest.approx(values, **CLOSE)


@pytest.mark.parametrize(("task", "version"), [("wise", "legacy"), ("wise-verified", "verified")])
def test_wise(score: Score, task: str, version: str) -> None:
    cases = golden("wise")[f"{version}_reply_cases"]
    rows = [{"prompt_id": k} for k in range(1, len(cases) + 1)]
    given = [{"id": str(k), "judgement": {"replies": [case["reply"]]}} for k, case in enumerate(cases, 1)]
    metrics, scores = score(task, rows, given, "official")
    readable = 0
    for k, case in enumerate(cases, 1):
        complete = case.get("complete", bool(case["expected"]))
        assert scores[str(k), 0]["prediction"] == (case["expected"] if complete else None)
        assert scores[str(k), 0]["status"] == ("scored" if complete else "error")
        readable += complete
    values = [one["values"]["score"] for one in scores.values() if one["values"]]
    assert (len(values), metrics["culture"]) == (readable, pytest.approx(sum(values) / readable, **CLOSE))
    assert "overall" not in metrics


@pytest.mark.parametrize(("task", "version"), [("wise", "legacy"), ("wise-verified", "verified")])
def test_wise_files_of_scores(command: Callable[..., Any], tmp_path: Path, task: str, version: str) -> None:
    cases = [case for case in golden("wise")["calculate_cases"] if (case["protocol"], case["name"]) == (version, "odd")]
    data = lines(tmp_path / "rows.jsonl", [{"prompt_id": k} for k in range(1, 1001)])
    for case in cases:
        entries = [
            {name: value for name, value in zip(case["fields"], values, strict=True) if value != "ABSENT"}
            for file in case["files"]
            for values in file
        ]
        whole = [entry for entry in entries if len(entry) > 1]
        given = lines(tmp_path / "scores.jsonl", whole)
        said = command("score", "--task", task, "--data", data, "--responses", given, "--json")
        assert said.code == 0, said.err
        result = json.loads(said.out)
        expected = case["expected_exact"]
        values = {name: metric["value"] for name, metric in result["metrics"].items()}
        assert values["overall"] == pytest.approx(expected["overall"], **CLOSE)
        for name, value in expected["categories"].items():
            assert values[name.lower()] == pytest.approx(value, **CLOSE)
        printed = case["expected"]["categories"].values()
        assert result["n"] == sum(count for _, count in printed)
        assert result["counts"]["error"] == 1000 - result["n"]


@pytest.mark.parametrize("protocol", ["official", "corrected"])
def test_unison(score: Score, protocol: str) -> None:
    """Both sides of the program's runs; the model's own answers stand beside the judge's, so that Uni is there too."""
    for run in golden("unison_ic")["runs"][::4]:
        if run["expected_corrected"]["generation"] is None:  # where everything has failed the command does, too
            continue
        table = read_table(run["rows"], run["existing_images"], run["judge_replies"].get)
        items = [one for one in table if one.questions]
        asked = [(one, k, question) for one in items for k, question in enumerate(one.questions, 1)]
        rows = [
            {
                "id": one.id,
                "prompt": "p",
                "questions": {str(k): question.text for of, k, question in asked if of is one},
            }
            for one in items
        ]
        answers = [{"id": f"{one.id}/{k}", "response": q.answer} for one, k, q in asked if q.answer is not None]
        judgements = [
            {
                "id": one.id,
                "judgement": {
                    "answers": {str(k): question.judged for of, k, question in asked if of is one},
                    "understanding": {str(k): question.answer for of, k, question in asked if of is one},
                    "drawn": one.drawn,
                },
            }
            for one in items
        ]
        found = score("unison-u", rows, answers, protocol)[0] | score("unison-g", rows, judgements, protocol)[0]
        if protocol == "official":
            expected = {name: run["expected_official"]["scores"][f"{name}_score"] for name in UNISON}
        else:
            expected = {name: run["expected_corrected"]["both" if name == "unified" else name] for name in UNISON}
        told = {name: None if found.get(name) is None else found[name] / 100 for name in UNISON}
        assert told == {name: None if one is None else pytest.approx(one, **CLOSE) for name, one in expected.items()}


UNISON = ("understanding", "generation", "unified")


def test_drift(score: Score) -> None:
    """Similarities of every generation, by the task's own numbers of generations."""
    for case in golden("cycle")["chain_cases"]:
        if case["dropped_row"]:
            continue
        curves = case["expected"]["scores"]
        task = f"drift-{case['start']}"
        given = [
            {"id": name, "index": int(k) - 1, "judgement": {"similarity": value}}
            for name, curve in curves.items()
            for k, value in curve.items()
        ]
        metrics, _ = score(task, [{"id": name} for name in curves], given, "official")
        assert metrics[f"mcd/{case['start']}-{case['compared']}"] == pytest.approx(case["expected"]["mcd"], **CLOSE)


def test_multi_generation_verdicts(score: Score) -> None:
    cases = golden("cycle")["mgg_cases"][:STOPS_AFTER]
    rows = [{"prompt": "p", **case["metadata"]} for case in cases]
    given = [
        {"id": f"{k:05d}", "index": 2, "judgement": {"boxes": case["detections_score_label_box"]}}
        for k, case in enumerate(cases)
    ]
    scores = score("mgg", rows, given, "official")[1]
    for k, case in enumerate(cases):
        found = scores[f"{k:05d}", 2]
        assert (bool(found["values"]["correct"]), found["reason"]) == tuple(case["expected"].values())


def test_reconstructions(score: Score) -> None:
    for case in golden("cycle")["unified_bench_cases"][:4]:
        expected = case["expected"]
        names = list(next(iter(expected["similarities_by_model"].values()), {}))
        if not expected["statistics_by_model"]:
            continue
        given = [
            {
                "id": name,
                "index": 1,
                "judgement": {
                    "similarities": {model: found[name] for model, found in expected["similarities_by_model"].items()}
                },
            }
            for name in names
        ]
        metrics, _ = score("unified-bench", [{"id": name} for name in names], given, "official")
        assert metrics["overall"] == pytest.approx(expected["summary"]["overall_average"], **CLOSE)
