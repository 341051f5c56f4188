"""The judge: batches and shared images leave its answers as they are, images are encoded once, runs name it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mplug_made import QUESTIONS, VOCABULARY, picture, write_checkpoint

from hermes.harness.judges.mplug import judge as judge_module
from hermes.harness.judges.mplug.judge import MPlugJudge
from hermes.harness.judges.mplug.model import MPlug
from hermes.harness.judges.mplug.search import END, START, Hypothesis
from hermes.harness.system import registry
from hermes.harness.system.errors import HermesError


@pytest.fixture(scope="module", params=[2, 100])
def judge(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> MPlugJudge:
    """One with and one without a connected layer."""
    folder = write_checkpoint(tmp_path_factory.mktemp("mplug"), bert={"stride_layer": request.param})
    return MPlugJudge.load(str(folder), "cpu")


@pytest.fixture(scope="module")
def asked() -> tuple[list[Any], list[str]]:
    """Every question about ten pictures, the pictures mixed."""
    pictures = [picture(number) for number in range(10)]
    pairs = [(image, question) for question in QUESTIONS for image in pictures]
    return [image for image, _ in pairs], [question for _, question in pairs]


def test_batched_answers_equal_single_ones(judge: MPlugJudge, asked: tuple[list[Any], list[str]]) -> None:
    images, questions = asked
    alone = [judge.answer([image], [question])[0] for image, question in zip(images, questions, strict=True)]
    assert judge.answer(images, questions) == alone
    assert len(set(alone)) > 4, "answers that hardly differ would hide a mix-up"


@pytest.mark.parametrize(("pictures", "rows"), [(1, 1), (3, 2), (10, 7)])
def test_how_the_work_is_cut_changes_nothing(
    judge: MPlugJudge, asked: tuple[list[Any], list[str]], monkeypatch: pytest.MonkeyPatch, pictures: int, rows: int
) -> None:
    wanted = judge.answer(*asked)
    monkeypatch.setattr(judge_module, "IMAGES", pictures)
    monkeypatch.setattr(judge_module, "QUESTIONS", rows)
    assert judge.answer(*asked) == wanted


def test_each_image_is_encoded_once(
    judge: MPlugJudge, asked: tuple[list[Any], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    see = MPlug.see
    monkeypatch.setattr(MPlug, "see", lambda self, pixels: seen.append(len(pixels)) or see(self, pixels))
    judge.answer(*asked)
    assert sum(seen) == 10


@pytest.mark.parametrize("answer", ["yes", "yes yes", "it ' s red", "no . it is a dog"])
def test_nothing_is_tidied_away_from_an_answer(judge: MPlugJudge, monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    ids = [VOCABULARY.index(token) for token in ("[CLS]", *answer.split(), "[SEP]")]
    best, other = Hypothesis(tuple(ids), -1.0), Hypothesis((START, END), -2.0)
    monkeypatch.setattr(MPlug, "forward", lambda *_: [[best, other]])
    assert judge.answer([picture(0)], ["?"]) == [answer.replace(" ' ", "'").replace(" .", ".")]


def test_no_questions_have_no_answers(judge: MPlugJudge) -> None:
    assert judge.answer([], []) == []


def test_it_detects_nothing(judge: MPlugJudge) -> None:
    with pytest.raises(HermesError, match="cannot detect"):
        judge.detect([picture(0)], [()])


def test_it_is_registered() -> None:
    assert registry.load_class("judges", "mplug:anywhere") is MPlugJudge


def test_a_run_is_judged_and_names_the_judge(command: Callable[..., Any], tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "judge")
    arguments = ("eval", "--model", "null", "--tasks", "dpg_bench", "--limit", "2", "--out", tmp_path / "run")
    done = command(*arguments, "--judge", f"mplug:{folder}")
    assert done.code == 0, done.err
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    identity = MPlugJudge.load(str(folder), "cpu").identity
    assert identity in json.dumps(results)
    lines = (
        next((tmp_path / "run").glob("answers/*/dpg_bench-*/judgements/*/judgements.0.jsonl")).read_text().splitlines()
    )
    assert all(json.loads(line)["data"]["answers"] for line in lines)
    assert len(lines) >= 2


def test_a_run_with_a_folder_that_is_not_there_stops_with_one_line(command: Callable[..., Any]) -> None:
    done = command("eval", "--model", "null", "--tasks", "dpg_bench", "--limit", "1", "--judge", "mplug:nowhere")
    assert done.code == 2
    assert len(done.err.strip().splitlines()) == 1
    assert "nowhere" in done.err
