"""GenEval 2 and WISE with an endpoint as judge: whole runs; what fails is counted, what is lacking is said first."""

import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from chat_server import Answer, ChatServer, completion
from PIL import Image
from stored import scores

import hermes
from hermes.evaluators.wise import WISE
from hermes.harness.run.outside.score import ScoreSettings, score_files
from hermes.harness.system.errors import HermesError
from hermes.harness.system.progress import Silent

pytest.importorskip("openai")

from hermes.harness.judges.endpoint import judge as endpoint
from hermes.harness.system.endpoint.settings import read_settings

ROWS = [
    {"prompt": f"{n} cats", "atom_count": 3, "vqa_list": [[f"How many {n}?", n]], "skills": ["count"]}
    for n in ("two", "three")
]
PROMPT = "Rate {Prompt} which is {Explanation}."
THREE = "Consistency: 2\nRealism: 2\nAesthetic Quality: 2"


@pytest.fixture
def judge(server: ChatServer, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of the server as a judge, which waits milliseconds before it tries again."""
    quick = partial(replace, backoff=0.001)
    monkeypatch.setattr(endpoint, "read_settings", lambda argument: quick(read_settings(argument)))
    monkeypatch.setattr(endpoint.atexit, "register", lambda end: None)
    return f"openai:test@{server.url}"


@pytest.fixture
def run(judge: str, tmp_path: Path) -> Callable[..., Any]:
    """`run(task, data)`: the result of a model that draws one picture for all prompts."""

    def go(task: str, data: Path) -> Any:
        content = hermes.evaluate(
            model="null",
            tasks=(task,),
            data=str(data),
            judge=judge,
            device="cpu",
            out=tmp_path / "run",
            progress=Silent(),
        )
        return content["results"][task]

    return go


@pytest.fixture
def geneval2(tmp_path: Path) -> Path:
    path = tmp_path / "geneval2_data.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return path


@pytest.fixture
def wise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two prompts and the judge's prompt."""
    monkeypatch.setattr(WISE, "digest", hashlib.sha256(PROMPT.encode()).hexdigest())
    (tmp_path / "w").mkdir()
    rows = [{"prompt_id": k, "Prompt": f"p{k}", "Explanation": "e"} for k in (1, 401)]
    (tmp_path / "w" / "rows.json").write_text(json.dumps(rows))
    (tmp_path / "w" / "prompt.txt").write_text(PROMPT)
    return tmp_path / "w"


def listed(**tokens: float) -> Answer:
    return Answer(body=completion("x", {token: math.log(weight) for token, weight in tokens.items()}))


def test_one_judging_of_geneval2_gives_all_means_under_both_protocols(server, run, geneval2, tmp_path):
    server.answer = lambda asked, tries: listed(two=0.5, three=0.25, Yes=0.25)
    result = run("geneval2", geneval2.parent)
    assert result.counts == {"scored": 2, "unparsed": 0, "error": 0}
    assert result.metrics["soft_tifa_am"].value == pytest.approx(37.5)
    assert (result.metrics["tifa"].value, result.metrics["vqascore"].value) == (50, pytest.approx(25))
    assert sorted(server.questions)[2:] == ["How many three? Answer in one word.", "How many two? Answer in one word."]
    asked = len(server.asked)
    again = hermes.score(tmp_path / "run", protocol="corrected")["results"]["geneval2"]
    assert again.metrics["soft_tifa_am"].value == pytest.approx(37.5)
    assert (asked, len(server.asked)) == (4, 4)


def test_a_question_without_a_reply_makes_its_image_an_error_and_no_zero(server, run, geneval2, tmp_path):
    bad = "How many two? Answer in one word."
    server.answer = lambda asked, tries: Answer(status=500) if asked.question == bad else listed(three=0.5, no=0.5)
    result = run("geneval2", geneval2.parent)
    assert result.counts == {"scored": 1, "unparsed": 0, "error": 1}
    assert result.metrics["soft_tifa_gm"].value == pytest.approx(50)
    assert sum("HTTP 500" in score.reason for score in scores(tmp_path / "run", "geneval2")) == 1


def test_images_named_by_geneval2s_own_file_are_judged_and_a_missing_one_is_an_error(server, judge, geneval2, tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    paths = tmp_path / "paths.json"
    paths.write_text(json.dumps({"two cats": "a.png", "three cats": "gone.png"}))
    server.answer = lambda asked, tries: listed(two=1.0)
    settings = ScoreSettings(task="geneval2", data=str(geneval2), responses=paths, judge=judge, out=tmp_path / "scored")
    result = score_files(settings, Silent()).result
    assert result.counts == {"scored": 1, "unparsed": 0, "error": 1}
    assert result.metrics["soft_tifa_gm"].value == pytest.approx(100)


def test_wise_asks_again_for_what_cannot_be_read_and_counts_what_stays_so(server, run, wise, tmp_path):
    server.answer = lambda asked, tries: Answer("no idea" if "p401" in asked.question or tries == 1 else THREE)
    result = run("wise", wise)
    assert result.counts == {"scored": 1, "unparsed": 0, "error": 1}
    assert result.metrics["culture"].value == pytest.approx(1.0)
    assert set(result.metrics) == {"culture", *WISE.keys}
    assert sorted(server.questions) == ["Rate p1 which is e."] * 2 + ["Rate p401 which is e."] * 3
    assert all(asked.payload["max_tokens"] == 2000 for asked in server.asked)


def test_wise_without_its_judges_prompt_is_refused_before_anything_is_drawn(server, run, wise, tmp_path):
    (wise / "prompt.txt").write_text("Rate it.")
    with pytest.raises(HermesError, match="the judge's prompt"):
        run("wise", wise)
    assert not server.asked
    assert not (tmp_path / "run").exists()


def test_a_judge_that_cannot_weigh_is_refused(geneval2):
    with pytest.raises(HermesError, match="needs a judge that can weigh"):
        hermes.evaluate(model="null", tasks=("geneval2",), data=str(geneval2), judge="oracle", progress=Silent())
