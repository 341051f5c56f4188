"""What pages are told: every answer with its sample, pictures, score and judge, however far the run is."""

import io
import json
import os
import re
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from stored import answers, content, place, scores

from hermes.evaluators.pope import POPE
from hermes.harness.data.tables import load_data
from hermes.harness.records.images import ImageHandle
from hermes.harness.records.journal import sealed
from hermes.harness.records.stored_samples import Lines, samples_path
from hermes.harness.records.types import GenerationConfig, Response, Sample, Score
from hermes.harness.run.runner import evaluate
from hermes.harness.run.settings import EvalSettings
from hermes.harness.system.progress import Silent
from hermes.leaderboards.stored import TaskFiles
from hermes.viewer.details import detail
from hermes.viewer.export import export
from hermes.viewer.found import safe
from hermes.viewer.pairs import Pairs
from hermes.viewer.pictures import PIXELS, Pictures
from hermes.viewer.rows import Rows
from hermes.viewer.script import script
from hermes.viewer.site import Site

HOSTILE = "</script><script>alert(1)</script>\u2028\u2029<img src=x>&"


def key_of(run: Path) -> str:
    return f"{run.parent.name}~{run.name}"


def payload(site: Site, name: str) -> dict[str, Any]:
    found = site.payload(name)
    assert found is not None, name
    return found


def details(site: Site, run: Path, task: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = payload(site, f"runs/{key_of(run)}/{task}/rows-0")["rows"]
    return found


def test_the_overview_has_every_run_with_its_scores(runs: Path, run: Path) -> None:
    index = payload(Site([runs]), "index")
    (one,) = index["runs"]
    results = content(run)
    assert (one["key"], one["running"], one["partial"], one["homologous"]) == (key_of(run), False, True, 6)
    assert one["gap"]["gap"] == results["gap"]["homologous"]["gap"]["value"]
    for task in one["tasks"]:
        result = results["results"][task["name"]]
        assert task["value"] == result["metrics"][result["headline"]]["value"]
        assert (task["n"], task["n_expected"]) == (result["n"], result["n_expected"])
        assert (task["stored"], task["rows"]) == (True, sum(result["counts"][what] for what in ("scored", "unparsed")))
    assert one["settings"]["limit"] == "6"


def test_a_row_is_the_sample_with_its_answer_and_score(runs: Path, run: Path) -> None:
    site = Site([runs])
    rows, found = payload(site, f"runs/{key_of(run)}/pope/rows"), details(site, run, "pope")
    samples = list(load_data(POPE(), "shapes", "test", 6).samples)
    said, marks = answers(run, "pope"), scores(run, "pope")
    assert rows["n"] == len(samples) == len(found)
    for number, (sample, one, score) in enumerate(zip(samples, found, marks, strict=True)):
        assert (one["id"], one["prompt"], one["gold"]) == (sample.id, sample.prompt, sample.target)
        assert one["answer"] == rows["answer"][number] == said[sample.id, 0].text
        assert one["values"] == score.values
        assert rows["right"][number] == score.values["correct"] == rows["value"][number]
        assert rows["category"][number] == one["tags"]["category"] == sample.metadata["category"]
        assert one["judge"] is None
        shown = site.pictures.file(one["images"][0]["src"].removeprefix("media/"))
        assert shown is not None
        assert Image.open(io.BytesIO(shown[0])).tobytes() == sample.images[0].open().tobytes()


def test_a_drawn_picture_comes_with_what_the_judge_said(runs: Path, run: Path) -> None:
    site = Site([runs])
    for one in details(site, run, "homologous-g"):
        assert one["drawn"]["width"] == 48
        right = [question["right"] for question in one["judge"]["questions"]]
        assert sum(right) / len(right) == pytest.approx(one["values"]["accuracy"])
    boxes = [box for one in details(site, run, "geneval") for box in one["judge"]["boxes"]]
    assert boxes
    assert all(0 <= side <= 1 for box in boxes for side in box["box"])


def with_files(folder: Path, source: str = "folder") -> Path:
    """A run over two questions about pictures in files: a.png and b.png beside the rows."""
    answers_ = [{"answer": "yes", "answer_id": k} for k in range(10)]
    known = {"question_type": "is it", "answer_type": "yes/no", "answers": answers_}
    folder.mkdir()
    rows = []
    for number, name in enumerate("ab"):
        Image.new("RGB", (8, 8), (number * 100, 0, 0)).save(folder / f"{name}.png")
        asked = {"question_id": number, "image_id": number, "question": "Is it?", "image": f"{name}.png"}
        rows.append(json.dumps(asked | known) + "\n")
    (folder / "rows.jsonl").write_text("".join(rows))
    runs = folder / "runs"
    evaluate(EvalSettings(model="null", tasks=("vqav2",), data=str(folder / "rows.jsonl"), runs=runs))
    (run,) = (path.parent for path in runs.glob("*/*/results.json"))
    results = (run / "results.json").read_text()
    (run / "results.json").write_text(results.replace('"source": "folder"', f'"source": "{source}"'))
    return run


@pytest.mark.parametrize(("source", "noticed"), [("folder", True), ("hub:owner/name", False)])
def test_a_picture_that_was_replaced_is_not_shown_for_the_one_that_was_asked(
    tmp_path: Path, source: str, noticed: bool
) -> None:
    run = with_files(tmp_path / "data", source)
    site = Site([run.parent.parent])
    assert all("src" in one["images"][0] for one in details(site, run, "vqav2"))
    known = details(site, run, "vqav2")[0]["images"][0]["src"].removeprefix("media/")
    assert site.pictures.file(known) is not None
    Image.new("RGB", (8, 8), "green").save(tmp_path / "data" / "a.png")
    assert site.pictures.file(known) is None
    first, second = (one["images"][0] for one in details(site, run, "vqav2"))
    assert "src" in second
    assert first.get("missing", "").endswith("a.png changed since it was asked") is noticed
    path, _ = export(run, "jsonl", tmp_path / "out.jsonl", Silent())
    places = [json.loads(line)["pictures"][0] for line in path.read_text().splitlines()]
    assert [place.startswith("changed since it was asked: /") for place in places] == [noticed, False]


def test_homologous_items_have_both_sides(runs: Path, run: Path) -> None:
    site = Site([runs])
    lists = payload(site, f"runs/{key_of(run)}/homologous")
    items = payload(site, f"runs/{key_of(run)}/homologous-0")["items"]
    gap = content(run)["gap"]["homologous"]
    assert sum(lists["u"]) / lists["n"] == pytest.approx(gap["u"]["value"])
    assert sum(lists["g"]) / lists["n"] == pytest.approx(gap["g"]["value"])
    for item in items:
        for side in ("real", "drawn"):
            right = [one["real_right"] if side == "real" else one["drawn"][0]["right"] for one in item["questions"]]
            assert sum(right) / len(right) == pytest.approx(item["u" if side == "real" else "g"])
        assert item["real"]["src"] != item["drawn"][0]["picture"]["src"]


def test_each_picture_of_several_has_its_own_answers_and_plan(tmp_path: Path) -> None:
    tasks = ("homologous-u", "homologous-g@num_images=3")
    evaluate(EvalSettings(model="hermes-tiny", tasks=tasks, limit=3, runs=tmp_path, device="cpu"))
    (run,) = (path.parent for path in tmp_path.glob("*/*/results.json"))
    found = answers(run, tasks[1])
    for item in payload(Site([tmp_path]), f"runs/{key_of(run)}/homologous-0")["items"]:
        assert len(item["drawn"]) == 3
        assert item["g"] == pytest.approx(sum(one["g"] for one in item["drawn"]) / 3)
        for number, one in enumerate(item["drawn"]):
            right = [question["drawn"][number]["right"] for question in item["questions"]]
            assert sum(right) / len(right) == pytest.approx(one["g"])
            assert one["plan"] == found[item["id"], number].plan


def test_answers_of_a_side_in_progress_stand_beside_their_own_questions(runs: Path, run: Path) -> None:
    name = f"runs/{key_of(run)}/homologous-0"
    before = payload(Site([runs]), name)["items"][0]
    journal = in_progress(run, "homologous-u").store / "responses.0.jsonl"
    journal.write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[1:]))
    after = payload(Site([runs]), name)["items"][0]
    assert (after["questions"][0]["real_answer"], after["u"]) == (None, None)
    assert after["questions"][1]["real_answer"] == before["questions"][1]["real_answer"]
    for told in ("question", "gold", "drawn"):
        assert [one[told] for one in after["questions"]] == [one[told] for one in before["questions"]]


def test_a_self_play_shows_items_over_rounds_and_pairs(runs: Path, run: Path, play: Path) -> None:
    site = Site([runs])
    (one,) = payload(site, "index")["plays"]
    assert [entry["drops"] for entry in one["rounds"]] == [
        {},
        {"images: best and worst score alike, or are the same": 3},
    ]
    assert (one["items"], one["training"]) == (6, [1])
    key = one["key"]
    lists = payload(site, f"plays/{key}/items")
    assert [len(side) for side in lists["u"]] == [2] * 6
    item = payload(site, f"plays/{key}/items-0")["items"][0]
    assert [entry["round"] for entry in item["rounds"]] == [0, 1]
    pairs = payload(site, f"plays/{key}/pairs-1")
    assert (pairs["n"], pairs["margin_gen"], pairs["margin_und"]) == (1, [0.75], [None])
    assert len(pairs["problems"]) == 1
    (pair,) = payload(site, f"plays/{key}/pairs-1-0")["pairs"]
    assert pair["gen"]["winner"]["plan"] == "a red square"
    assert pair["gen"]["winner"]["image"]["src"] != pair["gen"]["loser"]["image"]["src"]
    assert payload(site, f"plays/{key}/training-1") == {"step": [0, 1], "loss": [2.5, 2.0]}


@pytest.mark.parametrize("rounds", [20])
def test_a_long_self_play_is_read_once_and_what_changes_anew(
    runs: Path, run: Path, play: Path, rounds: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: Counter[type] = Counter()

    def counted(kind: type) -> Any:
        usual = kind.__init__  # type: ignore[misc]

        def init(self: Any, *given: Any) -> None:
            made[kind] += 1
            usual(self, *given)

        return init

    for kind in (Rows, Pairs):
        monkeypatch.setattr(kind, "__init__", counted(kind))
    site = Site([runs])
    (one,) = payload(site, "index")["plays"]
    last = f"plays/{one['key']}/pairs-{rounds - 1}"
    names = (f"plays/{one['key']}/items", f"plays/{one['key']}/items-0", last, f"{last}-0")
    for _ in range(3):
        lists, chunk, pairs, _ = (payload(site, name) for name in names)
        assert (len(lists["rounds"]), len(chunk["items"][0]["rounds"]), pairs["n"]) == (rounds, rounds, 1)
    assert made == {Rows: 2 * rounds, Pairs: 1}
    preferences = play / f"round-{rounds - 1}" / "preferences.jsonl"
    preferences.write_text(preferences.read_text() + preferences.read_text())
    marks = place(run, "homologous-g", "scores")
    marks.write_text(re.sub(r'"accuracy":[0-9.]+', '"accuracy":0.125', marks.read_text()))
    assert payload(site, last)["n"] == 2
    assert {value for item in payload(site, names[0])["g"] for value in item} == {0.125}


def test_every_name_has_data_and_no_other(runs: Path, play: Path) -> None:
    site = Site([runs])
    names = list(site.names())
    assert len(names) == len(set(names)) > 20
    assert all(site.payload(name) is not None for name in names)
    for other in ("", "runs", "runs/x/y/rows", f"{names[1]}-999", "plays/x/items", "../index", "index/.."):
        assert site.payload(other) is None


def test_a_run_of_an_older_version_has_answers_without_prompts(runs: Path, run: Path) -> None:
    for folder in runs.glob("answers/*/*/samples"):
        shutil.rmtree(folder)
    site = Site([runs])
    (one,) = payload(site, "index")["runs"]
    assert {task["stored"] for task in one["tasks"]} == {False}
    rows = payload(site, f"runs/{key_of(run)}/pope/rows")
    assert rows["stored"] is False
    assert rows["answer"][0] == answers(run, "pope")[rows["id"][0], 0].text
    assert details(site, run, "pope")[0]["prompt"] is None
    assert "src" in details(site, run, "geneval")[0]["drawn"]
    assert "missing" in payload(site, f"runs/{key_of(run)}/homologous-0")["items"][0]["real"]


def in_progress(run: Path, task: str) -> TaskFiles:
    """Leave of a run what is there while the task is being drawn."""
    found = place(run, task)
    for path in (place(run, task, "scores"), run / "results.json", run / "run.json"):
        path.unlink()
    lines = (run / "environment.jsonl").read_text().splitlines()
    (run / "environment.jsonl").write_text(lines[0] + "\n")
    journal = found / "responses.0.jsonl"
    content = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(content[:4]) + content[4][:40])
    (samples,) = (found / "samples").glob("*.jsonl")
    samples.rename(samples.with_name(f".{samples.name}.1234.part"))
    return TaskFiles(task, GenerationConfig(), found, found, samples)


def test_a_run_in_progress_shows_its_answers_so_far(runs: Path, run: Path) -> None:
    samples = in_progress(run, "pope").samples
    site = Site([runs])
    (one,) = payload(site, "index")["runs"]
    assert one["running"] is True
    rows = payload(site, f"runs/{key_of(run)}/pope/rows")
    assert (rows["n"], set(rows["status"]), rows["value"]) == (4, {"answered"}, [None] * 4)
    assert details(site, run, "pope")[0]["gold"] in ("yes", "no")
    assert set(payload(site, f"runs/{key_of(run)}/geneval/rows")["status"]) == {"scored"}
    for part in samples.parent.iterdir():
        part.unlink()
    rows = payload(site, f"runs/{key_of(run)}/pope/rows")
    assert (rows["n"], rows["stored"], rows["prompt"]) == (4, False, [""] * 4)


def test_runs_of_folders_with_one_name_stand_side_by_side(made: Path, tmp_path: Path) -> None:
    folders = [Path(shutil.copytree(made, tmp_path / name / "runs")) for name in ("a", "b")]
    site = Site([*folders, tmp_path / "b" / ".." / "b" / "runs"])
    keys = [one["key"] for one in payload(site, "index")["runs"]]
    assert len(keys) == len(set(keys)) == 2
    assert all(payload(site, f"runs/{key}/pope/rows")["n"] for key in keys)
    swapped = payload(Site([*reversed(folders)]), "index")["runs"]
    assert sorted(one["key"] for one in swapped) == sorted(keys)


def test_damaged_lines_are_told(runs: Path, run: Path) -> None:
    journal = place(run, "pope") / "responses.0.jsonl"
    journal.write_bytes(journal.read_bytes().replace(b'"text":"', b'"text":"x', 1))
    marks = place(run, "pope", "scores")
    marks.write_bytes(b"{not json\n" + marks.read_bytes())
    (run.parent / "other").mkdir()
    (run.parent / "other" / "results.json").write_text("{")
    site = Site([runs])
    assert "other" in payload(site, "index")["problems"][0]
    rows = payload(site, f"runs/{key_of(run)}/pope/rows")
    assert len(rows["problems"]) == 2
    assert rows["answer"][0] == ""
    assert details(site, run, "pope")[0]["answer"] is None


def test_a_changed_file_is_read_again(runs: Path, run: Path) -> None:
    site = Site([runs])
    name = f"runs/{key_of(run)}/pope/rows"
    before = payload(site, name)["status"]
    marks = place(run, "pope", "scores")
    marks.write_text(marks.read_text().replace('"status":"scored"', '"status":"unparsed"'))
    assert set(before) == {"scored"}
    assert set(payload(site, name)["status"]) == {"unparsed"}


def write_task(folder: Path, texts: Sequence[str], prompt: str = "Which?") -> TaskFiles:
    """A task of text answers, as its store has it."""
    files = TaskFiles("made", GenerationConfig(), folder, folder / "scores.jsonl", samples_path(folder, "f"))
    files.samples.parent.mkdir(parents=True)
    nothing = bytes(16)
    sample = Sample(id="ID", group_id="ID", ability="understanding", prompt=prompt, target="TEXT")
    response = Response(key="KEY", sample_id="ID", index=0, seed=1, prompt_sha256="", text="TEXT")
    score = Score(sample_id="ID", index=0, group_id="ID", values={"correct": 1.0})
    asked = Lines(bytes).line(sample, nothing, nothing)
    said, mark = response.model_dump_json(), score.model_dump_json()
    filled = [
        [one.replace('"ID"', f'"{k}"').replace('"TEXT"', json.dumps(text)) for one in (asked, mark, said)]
        for k, text in enumerate(texts)
    ]
    journal = (sealed(one[2].replace("KEY", files.key(f"{k}", 0, nothing.hex()))) for k, one in enumerate(filled))
    files.samples.write_text("".join(one[0] + "\n" for one in filled), encoding="utf-8")
    files.scores.write_text("".join(one[1] + "\n" for one in filled), encoding="utf-8")
    (folder / "responses.0.jsonl").write_bytes(b"".join(journal))
    return files


def test_text_from_outside_stays_data(tmp_path: Path) -> None:
    rows = Rows(write_task(tmp_path, [HOSTILE], HOSTILE))
    (row,) = rows.rows([0])
    written = script("a", {"columns": rows.columns.answer, **detail(row, rows.files, Pictures())})
    for mark in ("<", ">", "&", "\u2028", "\u2029"):
        assert mark.encode() not in written
    told = json.loads(written.decode().removeprefix('hermesData("a", ').removesuffix(");\n"))
    assert told["gold"].startswith("</script><script>alert(1)</script>")


def test_fifty_thousand_rows_are_one_pass_over_each_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    n = 50_000
    files = write_task(tmp_path, ["yes"] * n)
    opened: Counter[str] = Counter()
    usual = Path.open

    def counted(path: Path, *mode: Any, **more: Any) -> Any:
        opened[path.name] += 1
        return usual(path, *mode, **more)

    monkeypatch.setattr(Path, "open", counted)
    rows = Rows(files)
    assert len(rows) == n
    assert rows.columns.answer == ["yes"] * n
    assert opened == {"f.jsonl": 1, "scores.jsonl": 1, "responses.0.jsonl": 1}


def test_the_answer_of_other_data_is_not_shown(tmp_path: Path) -> None:
    files = write_task(tmp_path, ["yes"])
    lines = Lines(bytes)
    sample = Sample(id="0", group_id="0", ability="understanding", prompt="Another?", target="no")
    files.samples.write_text(lines.line(sample, b"another prompt..", bytes(16)) + "\n")
    rows = Rows(files)
    assert rows.columns.answer == [""]
    assert rows.rows([0])[0].response is None


def test_large_and_strange_pictures_become_what_browsers_show(tmp_path: Path) -> None:
    pictures = Pictures()
    Image.new("RGB", (PIXELS * 2, 10), "red").save(tmp_path / "large.png")
    Image.new("I;16", (30, 20), 40_000).save(tmp_path / "grey.tif")
    for name, size in (("large.png", (PIXELS, 5)), ("grey.tif", (30, 20))):
        shown = pictures.shown(ImageHandle(tmp_path / name))
        found = pictures.file(shown["src"].removeprefix("media/"))
        assert found is not None
        assert found[1] == "image/jpeg"
        assert Image.open(io.BytesIO(found[0])).size == size
    assert pictures.shown(ImageHandle(tmp_path / "large.png"))["width"] == PIXELS * 2
    gone = pictures.shown(ImageHandle(tmp_path / "gone.png"))
    assert "gone.png is no longer there" in gone["missing"]


def test_keys_are_safe_for_addresses() -> None:
    assert safe("homologous-g") == "homologous-g"
    one, other = safe("a@b=1"), safe("a@b-1")
    assert one != other
    assert os.path.basename(one) == one
