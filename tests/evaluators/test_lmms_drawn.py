"""Drawing tasks of lmms-eval: what their own scorers say of the same pictures, and a failure is an error, never a 0."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import hermes
from hermes.evaluators.lmms.scorer import scorer_of
from hermes.evaluators.lmms.tasks import as_lmms_eval, find_task
from hermes.harness.run.plan import plan_tasks
from hermes.harness.run.settings import EvalSettings
from hermes.harness.system.errors import HermesError

if find_spec("lmms_eval") is None:
    pytest.skip("lmms-eval is not installed", allow_module_level=True)

from lmms_drawing import PROMPTS, write_drawing_tasks
from lmms_judge import JudgeServer, judge_server, pictures_of

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("lmms")]
NUMBERS = ("WISE_culture_score", "WISE_time_score", "WISE_overall_wiscore")


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("lmms")
    with pytest.MonkeyPatch.context() as patch:
        for key in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"):
            patch.setenv(key, "1")
        patch.setenv("LMMS_EVAL_DATASETS_CACHE", str(folder / "cache"))
        yield write_drawing_tasks(folder / "tasks")


def marks(payload: Mapping[str, Any], number: int) -> tuple[int, str]:
    """Scores 0 to 2 that hang on the picture's bytes."""
    digest = hashlib.sha256(pictures_of(payload)[-1].encode()).digest()
    names = ("Consistency", "Realism", "Aesthetic Quality")
    return 200, "\n".join(f"{name}: {byte % 3}" for name, byte in zip(names, digest, strict=False))


@pytest.fixture
def judge(monkeypatch: pytest.MonkeyPatch) -> Iterator[JudgeServer]:
    with judge_server(marks) as server:
        point_at(server.url, monkeypatch)
        yield server


def point_at(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """WISE's and ImgEdit's clients, which are made once."""
    with as_lmms_eval():
        from lmms_eval.tasks.imgedit import utils as imgedit
        from lmms_eval.tasks.WISE import utils as wise

    for name in ("WISE_API_KEY", "IMGEDIT_API_KEY"):
        monkeypatch.setenv(name, "EMPTY")
    monkeypatch.setenv("WISE_BASE_URL", url)
    monkeypatch.setenv("WISE_CALL_DELAY", "0")
    monkeypatch.setattr(wise, "_OPENAI_CLIENT", None)
    monkeypatch.setattr(imgedit, "_openai_client", None)
    monkeypatch.setattr(imgedit, "IMGEDIT_API_KEY", "EMPTY")
    monkeypatch.setattr(imgedit, "IMGEDIT_BASE_URL", url)
    monkeypatch.setattr("openai._base_client.INITIAL_RETRY_DELAY", 0.01)
    monkeypatch.setattr("openai._base_client.MAX_RETRY_DELAY", 0.01)


@pytest.fixture
def run(tasks: Path, tmp_path: Path) -> Callable[..., Any]:
    def evaluate(task: str, model: str = "hermes-tiny", **settings: Any) -> Any:
        return hermes.evaluate(model, tasks=(f"lmms:{tasks}:{task}",), out=tmp_path / "run", device="cpu", **settings)

    return evaluate


def result_of(content: Any) -> Any:
    (result,) = content["results"].values()
    return result


def drawn(folder: Path) -> dict[str, Path]:
    """The picture of each document."""
    (store,) = folder.glob("answers/*/lmms*")
    lines = map(json.loads, (store / "responses.0.jsonl").read_text().splitlines())
    return {line["sample_id"]: store / "media" / f"{line['image']}.png" for line in lines}


def theirs(pictures: Mapping[str, Path]) -> dict[str, float]:
    """What lmms-eval's own scorer and aggregations give for these pictures, called directly."""
    with as_lmms_eval():
        from lmms_eval.tasks.WISE import utils as wise

    said = []
    for number, (name, prompt, category) in enumerate(PROMPTS):
        doc = {
            "Prompt": prompt,
            "Explanation": f"the picture shows {prompt}",
            "Category": category,
            "Subcategory": "shapes",
            "prompt_id": name,
        }
        answer = json.dumps({"text": "", "images": [str(pictures[str(number)])]})
        with as_lmms_eval():
            said.append(wise.wise_process_results(doc, [answer]))
    ways = (wise.wise_aggregate_culture, wise.wise_aggregate_time, wise.wise_aggregate_overall_wiscore)
    return {name: way([one[name] for one in said]) for name, way in zip(NUMBERS, ways, strict=True)}


def test_wise_gives_what_its_own_scorer_gives(run: Callable[..., Any], judge: JudgeServer, tmp_path: Path) -> None:
    content = run("few_of_wise")
    result = result_of(content)
    assert (result.ability, result.headline, result.n, result.partial) == (
        "generation",
        "WISE_overall_wiscore",
        len(PROMPTS),
        False,
    )
    assert judge.asked == len(PROMPTS)
    pictures = drawn(tmp_path / "run")
    assert len(set(pictures.values())) == len(PROMPTS)
    ours = {name: metric.value for name, metric in result.metrics.items()}
    assert ours == theirs(pictures)
    assert 0 < ours["WISE_overall_wiscore"] < 1
    assert "WISE_space_score" not in ours  # lmms-eval prints 0.0 of a category without prompts


def test_what_was_said_is_stored(run: Callable[..., Any], judge: JudgeServer, tmp_path: Path) -> None:
    first = run("few_of_wise")
    again = run("few_of_wise")
    scored = hermes.score(first["folder"])
    assert judge.asked == len(PROMPTS)
    assert result_of(first) == result_of(again) == result_of(scored)
    assert str(tmp_path) not in "".join(path.read_text() for path in tmp_path.rglob("judgements*.jsonl"))
    assert "WISE_BASE_URL=127.0.0.1" in result_of(first).judge
    assert "EMPTY" not in result_of(first).judge


def test_a_judge_that_is_down_is_an_error_of_each_picture(
    run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with judge_server(marks) as server:
        url = server.url
    point_at(url, monkeypatch)
    result = result_of(run("few_of_wise"))
    assert result.counts == {"scored": 0, "unparsed": 0, "error": len(PROMPTS)}
    assert result.metrics == {}
    (reason,) = result.failures
    assert "the task's judge failed" in reason


def test_only_what_failed_is_asked_again(
    run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def second_fails(payload: Mapping[str, Any], number: int) -> tuple[int, str]:
        return (400, "") if PROMPTS[1][1] in payload["messages"][-1]["content"][0]["text"] else marks(payload, number)

    with judge_server(second_fails) as server:
        point_at(server.url, monkeypatch)
        result = result_of(run("few_of_wise"))
        assert result.counts == {"scored": 3, "unparsed": 0, "error": 1}
        assert "HTTP 400" in next(iter(result.failures))
        assert result.partial
        server.reply, server.asked = marks, 0
        mended = result_of(run("few_of_wise"))
        assert mended.counts == {"scored": 4, "unparsed": 0, "error": 0}
        assert server.asked == 1
        assert {name: metric.value for name, metric in mended.metrics.items()} == theirs(drawn(tmp_path / "run"))


def test_a_judge_that_answers_at_the_second_try_has_not_failed(
    run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def every_other(payload: Mapping[str, Any], number: int) -> tuple[int, str]:
        return (503, "") if number % 2 else marks(payload, number)

    with judge_server(every_other) as server:
        point_at(server.url, monkeypatch)
        assert result_of(run("few_of_wise")).counts == {"scored": 4, "unparsed": 0, "error": 0}


def test_a_reply_without_scores_is_unparsed(run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """WISE asks three times and then counts 0; a reply that can be read at the second time counts as it is."""

    def unsure(payload: Mapping[str, Any], number: int) -> tuple[int, str]:
        second = PROMPTS[1][1] in payload["messages"][-1]["content"][0]["text"]
        return (200, "I would rather not say.") if second or number == 1 else marks(payload, number)

    with judge_server(unsure) as server:
        point_at(server.url, monkeypatch)
        result = result_of(run("few_of_wise"))
        assert server.asked == len(PROMPTS) + 1 + 2
    assert result.counts == {"scored": 3, "unparsed": 1, "error": 0}


def test_an_edit_is_judged_beside_the_picture_that_was_to_change(
    run: Callable[..., Any], judge: JudgeServer, tmp_path: Path
) -> None:
    shown: list[list[str]] = []

    def look(payload: Mapping[str, Any], number: int) -> tuple[int, str]:
        shown.append(pictures_of(payload))
        return 200, f"Prompt Compliance: {number}\nVisual Naturalness: 3\nPhysical & Detail Integrity: 2"

    judge.reply = look
    result = result_of(run("few_of_imgedit", "null"))
    assert (result.headline, result.counts["scored"]) == ("imgedit_avg_score", 2)
    assert {name: metric.value for name, metric in result.metrics.items()} == {
        "imgedit_score1": 1.5,
        "imgedit_avg_score": pytest.approx((6 / 3 + 7 / 3) / 2),
    }
    (first, drawn_one), (second, drawn_two) = shown
    assert first != second
    assert drawn_one == drawn_two != first


def test_an_edit_whose_judge_is_down_is_an_error(run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """ImgEdit gives 0 on all three scores and goes on."""
    with judge_server(marks) as server:
        url = server.url
    point_at(url, monkeypatch)
    assert result_of(run("few_of_imgedit", "null")).counts == {"scored": 0, "unparsed": 0, "error": 2}


def test_models_that_do_not_edit_are_refused_at_once(tasks: Path, judge: JudgeServer) -> None:
    class Painter:
        abilities = ("understanding", "generation")

    settings = EvalSettings(model="painter", tasks=(f"lmms:{tasks}:few_of_imgedit",))
    with pytest.raises(HermesError, match="needs editing, which model 'painter' does not support") as raised:
        plan_tasks(settings, Painter)
    assert "\n" not in str(raised.value)
    assert judge.asked == 0


def test_a_scorer_of_texts_and_pictures_gets_both(run: Callable[..., Any], tmp_path: Path) -> None:
    """The null model says "yes" and draws 48 pixels; what is stored is replayed, and asked no second time."""
    content = run("few_of_both", "null")
    result = result_of(content)
    assert {name: metric.value for name, metric in result.metrics.items()} == {"length": 3, "side": 48}
    (store,) = (tmp_path / "run").glob("answers/*/lmms*")
    stored = [json.loads(line) for line in (store / "responses.0.jsonl").read_text().splitlines()]
    assert [line["text"] for line in stored] == ["yes"] * len(PROMPTS)
    assert all((store / "media" / f"{line['image']}.png").is_file() for line in stored)
    assert result_of(hermes.score(content["folder"])) == result
    before = (store / "responses.0.jsonl").read_bytes()
    assert result_of(run("few_of_both", "null")) == result
    assert (store / "responses.0.jsonl").read_bytes() == before
    task = next(iter(content["results"]))
    replayed = hermes.evaluate(f"replay:{content['folder']}", tasks=(task,), out=tmp_path / "replayed", device="cpu")
    assert result_of(replayed).metrics == result.metrics


def test_a_model_without_words_is_refused_there(tasks: Path) -> None:
    class Painter:
        abilities = ("generation", "editing")

    with pytest.raises(HermesError, match="needs understanding"):
        plan_tasks(EvalSettings(model="painter", tasks=(f"lmms:{tasks}:few_of_both",)), Painter)


def test_a_judge_of_texts_that_is_down_is_an_error_too_and_is_asked_again(
    run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with judge_server(lambda payload, number: (500, "")) as server:
        monkeypatch.setenv("WORDS_URL", server.url)
        assert result_of(run("few_words", "null")).counts == {"scored": 0, "unparsed": 0, "error": 2}
        server.reply = lambda payload, number: (200, "0.5")
        mended = result_of(run("few_words", "null"))
    assert (mended.counts["error"], mended.metrics["liked"].value) == (0, 0.5)


@pytest.mark.parametrize(
    ("task", "text"),
    [
        ("WISE", False),
        ("imgedit", False),
        ("gedit_bench", False),
        ("kris_bench", False),
        ("structeditbench", False),
        ("babyvision_gen", False),
        ("ueval", True),
    ],
)
def test_what_scorers_want_is_read_in_their_source(task: str, text: bool) -> None:
    scorer = scorer_of(find_task(task))
    assert (scorer.draws, scorer.reads_text, bool(scorer.keys)) == (True, text, True)


@pytest.mark.parametrize("task", ["pope", "uni_mmmu_jigsaw", "realunify_mental_tracking", "saco_gold_food"])
def test_others_are_answered_in_words(task: str) -> None:
    assert not scorer_of(find_task(task)).draws


def test_a_key_that_is_missing_is_said_before_anything_is_drawn(
    run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("WISE_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(HermesError, match="set WISE_API_KEY or OPENAI_API_KEY"):
        run("few_of_wise")
    assert not (tmp_path / "run").exists()
