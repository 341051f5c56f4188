"""Pictures that are missing or damaged are drawn again, whenever that is found out, and never scored silently."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from stored import answers, environments, place, records, results, scores, store
from watching import Watch

from hermes.harness.records import store as stores
from hermes.harness.records.journal import Journal
from hermes.harness.records.store import Store
from hermes.harness.records.types import Response
from hermes.harness.run.rescoring import rescore
from hermes.harness.run.runner import evaluate
from hermes.harness.run.settings import EvalSettings
from hermes.harness.system import registry
from hermes.harness.system.errors import HermesError

pytestmark = pytest.mark.usefixtures("plugins")
TASK, DRAWN = "theirs-drawing", 30
OTHER = Image.new("RGB", (8, 8), "purple")


def settings(out: Path, **more: Any) -> EvalSettings:
    return EvalSettings(model="theirs", tasks=(TASK,), device="cpu", out=out, **more)


def missing(path: Path) -> None:
    path.unlink()


def empty(path: Path) -> None:
    path.write_bytes(b"")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def zeros(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def another(path: Path) -> None:
    OTHER.save(path)


def one_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


DAMAGE = (missing, empty, cut, zeros, another, one_bit)


@pytest.fixture
def undisturbed(model: Any, tmp_path: Path) -> bytes:
    evaluate(settings(tmp_path / "undisturbed"), model=model)
    return results(tmp_path / "undisturbed")


def lost(folder: Path, damage: Callable[[Path], None]) -> list[tuple[str, int]]:
    """Damage one stored picture; returns whose it was."""
    drawn = answers(folder, TASK)
    digest = drawn["drawing-3", 0].image
    damage(store(folder, TASK).media / f"{digest}.png")
    return [key for key, answer in drawn.items() if answer.image == digest]


@pytest.mark.parametrize("damage", DAMAGE)
def test_before_it_is_judged(model: Any, tmp_path: Path, undisturbed: bytes, damage: Callable[[Path], None]) -> None:
    """The run was stopped when all was drawn and nothing judged."""
    folder = tmp_path / "run"
    evaluate(settings(folder), model=model)
    (place(folder, TASK, "judgements") / "judgements.0.jsonl").unlink()
    whose = lost(folder, damage)
    model.asked.clear()
    watch = Watch()
    found = evaluate(settings(folder), watch, model)
    asked = [key for batch in model.asked for key in batch]
    assert 0 < len(asked) <= len(whose)
    assert set(asked) <= set(whose)
    assert (found["drawn"][TASK].asked, found["drawn"][TASK].reused) == (len(asked), DRAWN - len(asked))
    assert found["results"][TASK].counts == {"scored": DRAWN, "unparsed": 0, "error": 0}
    assert results(folder) == undisturbed
    said = [f"{TASK}: {len(whose)} stored pictures are damaged; they are drawn again"]
    assert watch.said == ([] if damage is missing else said)
    model.asked.clear()
    assert results(evaluate(settings(folder), Watch(), model)["folder"]) == undisturbed
    assert model.asked == []


@pytest.mark.parametrize("damage", DAMAGE)
def test_before_another_judge_looks_at_it(
    model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: Callable[[Path], None]
) -> None:
    folder, judge = tmp_path / "runs", registry.load_class("judges", "theirs-judge")
    shared = EvalSettings(model="theirs", tasks=(TASK,), device="cpu", runs=folder)
    first = evaluate(shared, model=model)["folder"]
    before = results(first)
    lost(first, damage)
    seen: list[Any] = []
    answer = judge.answer
    monkeypatch.setattr(judge, "identity", "theirs-judge-2")
    monkeypatch.setattr(judge, "answer", lambda self, images, asked: seen.extend(images) or answer(self, images, asked))
    second = evaluate(shared, model=model)
    assert len(seen) == DRAWN
    assert all(image.getpixel((0, 0)) != OTHER.getpixel((0, 0)) for image in seen)
    assert second["results"][TASK].counts["error"] == 0
    assert (
        second["results"][TASK].metrics == evaluate(settings(tmp_path / "alone"), model=model)["results"][TASK].metrics
    )
    assert results(first) == before


def test_a_picture_that_is_gone_after_it_was_judged_is_drawn_again_and_judged_no_more(
    model: Any, tmp_path: Path, undisturbed: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    evaluate(settings(folder), model=model)
    whose = lost(folder, missing)
    monkeypatch.setattr(registry.load_class("judges", "theirs-judge"), "answer", lambda *_: pytest.fail("judged again"))
    model.asked.clear()
    evaluate(settings(folder), model=model)
    assert [len(batch) for batch in model.asked] == [len(whose)]
    assert results(folder) == undisturbed
    assert all(store(folder, TASK).verified(answer) for answer in answers(folder, TASK).values())


def test_a_picture_that_is_drawn_differently_is_judged_anew(model: Any, tmp_path: Path) -> None:
    """A model that no longer draws what it drew: the judgement of the old picture is not that of the new one."""
    folder = tmp_path / "run"
    evaluate(settings(folder), model=model)
    whose = lost(folder, missing)
    generate = model.generate
    model.generate = lambda requests: [Image.new("RGB", image.size, (0, 0, 9)) for image in generate(requests)]
    found = evaluate(settings(folder), model=model)["results"][TASK]
    assert found.counts == {"scored": DRAWN, "unparsed": 0, "error": 0}
    said = {(score.sample_id, score.index): score.prediction for score in scores(folder, TASK)}
    assert {key for key, color in said.items() if color == ""} == set(whose)


def test_a_disk_that_loses_every_picture_ends_and_scores_none_of_them(
    model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    monkeypatch.setattr(Store, "verified", lambda self, response: False)
    watch = Watch()
    found = evaluate(settings(folder), watch, model)["results"][TASK]
    assert found.counts == {"scored": 0, "unparsed": 0, "error": DRAWN}
    assert found.metrics == {}
    assert {score.reason for score in scores(folder, TASK)} == {"no judgement"}
    monkeypatch.undo()
    assert evaluate(settings(folder), model=model)["results"][TASK].counts["error"] == 0


def test_a_picture_that_another_process_has_removed_is_lost_for_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = Store(tmp_path)
    (name,) = held.keep_images([OTHER])
    path = held.media / f"{name}.png"
    path.write_bytes(b"torn")
    response = Response(sample_id="a", index=0, seed=0, prompt_sha256="", image=name)
    hashed = stores.hashlib.sha256

    def slow(data: bytes) -> Any:
        path.unlink()
        return hashed(data)

    monkeypatch.setattr(stores.hashlib, "sha256", slow)
    assert held.verified(response) is False


class TestTheMachine:
    """No room or too many files while pictures and answers are written."""

    @pytest.mark.parametrize("what", ["a picture", "an answer", "a judgement"])
    @pytest.mark.parametrize(
        ("number", "said"), [(28, "no space left"), (24, "too many open files"), (13, "permission")]
    )
    def test_the_command_stops_in_one_line_and_goes_on_later(
        self,
        command: Callable[..., Any],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        undisturbed: bytes,
        what: str,
        number: int,
        said: str,
    ) -> None:
        ask = ("eval", "--model", "theirs", "--tasks", TASK, "--device", "cpu", "--out", "run", "--batch-size", 4, "-q")
        with monkeypatch.context() as patch:
            fail(patch, what, number)
            code, out, err = command(*ask)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert said in err
        assert "all answers so far are kept" in err
        (home,) = (tmp_path / "run" / "answers").glob("*/*")
        kept = records(Store(home).responses).values()
        assert {one.status for one in kept} <= {"ok"}
        assert len(kept) == (DRAWN if what == "a judgement" else 8)
        assert environments(home)[-1].get("start")
        code, out, _ = command(*ask)
        assert code == 0
        assert f"answers: {DRAWN - len(kept)} asked, {len(kept)} reused" in out
        assert results(tmp_path / "run") == undisturbed


def fail(patch: pytest.MonkeyPatch, what: str, number: int) -> None:
    """The third writing of its kind meets the error."""
    error = OSError(number, "the reason")
    seen: list[Path] = []

    def stop(path: Path) -> None:
        seen.append(path)
        if len(seen) == (1 if what == "a judgement" else 3):
            raise error

    if what == "a picture":
        keep = Store.keep_images
        patch.setattr(Store, "keep_images", lambda self, images: (stop(self.folder), keep(self, images))[1])
        return
    append = Journal.append
    stem = "responses" if what == "an answer" else "judgements"
    patch.setattr(
        Journal,
        "append",
        lambda self, added: (stop(self.path) if self.stem == stem else None, append(self, added))[1],
    )


def test_damaged_pictures_stop_no_rescoring(model: Any, tmp_path: Path) -> None:
    """Judgements are there, and no one looks at the pictures."""
    folder = tmp_path / "run"
    before = evaluate(settings(folder), model=model)["results"]
    lost(folder, zeros)
    assert rescore(folder, "official")["results"] == before
    with pytest.raises(HermesError, match="no task has a protocol"):
        rescore(folder, "strict")
