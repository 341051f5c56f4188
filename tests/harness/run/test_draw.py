"""Drawing answers: in order, stored as they come, resumed, and a request that fails does so alone."""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from forked import on_processes
from PIL import Image
from stored import records
from watching import Watch

from hermes.harness.models.detect import model_class
from hermes.harness.records.images import ImageHandle
from hermes.harness.records.store import Store
from hermes.harness.records.types import Ability, Request, Response
from hermes.harness.run import drawing
from hermes.harness.run.drawing import Drawn
from hermes.harness.run.plan import plan_tasks, requests_of, resolved_config
from hermes.harness.run.settings import EvalSettings
from hermes.harness.system.errors import HermesError
from hermes.harness.system.processes import current

pytestmark = pytest.mark.usefixtures("plugins")


def crash() -> None:
    raise RuntimeError("out of memory\nin two lines")


def requests(task: str, **more: Any) -> list[Request]:
    (planned,) = plan_tasks(EvalSettings(model="theirs", tasks=(task,), **more), model_class("theirs"))
    info = model_class("theirs").load("theirs", "cpu").info
    return list(requests_of(planned, resolved_config(planned, info, 0)))


def draw(model: Any, wanted: list[Request], store: Store, **more: Any) -> list[Response]:
    """The answers in request order, after drawing."""
    ask(model, wanted, store, **more)
    found = store.responses.index().get([request.key for request in wanted])
    assert None not in found
    return [response for response in found if response is not None]


def ask(model: Any, wanted: list[Request], store: Store, **more: Any) -> Drawn:
    ability: Ability = "understanding" if wanted[0].images else "generation"
    return drawing.draw(model, wanted, len(wanted), store, wanted=ability, **more)


def test_answers_come_in_request_order_and_are_kept(model: Any, tmp_path: Path) -> None:
    wanted = requests("theirs")
    found = draw(model, wanted, Store(tmp_path), batch_size=5)
    assert [(item.sample_id, item.index, item.seed) for item in found] == [
        (item.sample_id, item.index, item.seed) for item in wanted
    ]
    assert [item.text for item in found] == model.understand(wanted)
    assert [len(batch) for batch in model.asked[:-1]] == [5, 5, 5, 5, 4]
    assert [item.key for item in found] == [item.key for item in wanted]
    assert list(records(Store(tmp_path).responses).values()) == found


def test_drawn_images_are_kept_and_come_back(model: Any, tmp_path: Path) -> None:
    wanted = requests("theirs-drawing", limit=3)
    found = draw(model, wanted, Store(tmp_path))
    pictures = [Store(tmp_path).image(item).open() for item in found]
    assert [p.tobytes() for p in pictures] == [p.tobytes() for p in model.generate(wanted)]


def test_only_what_is_missing_is_asked(model: Any, tmp_path: Path) -> None:
    wanted = requests("theirs")
    first = draw(model, wanted[:10], Store(tmp_path), batch_size=4)
    model.asked.clear()
    found = draw(model, wanted, Store(tmp_path), batch_size=4)
    assert [key for batch in model.asked for key in batch] == [(item.sample_id, 0) for item in wanted[10:]]
    assert found[:10] == first
    model.asked.clear()
    assert draw(model, wanted, Store(tmp_path)) == found
    assert model.asked == []
    assert ask(model, wanted, Store(tmp_path)) == Drawn(asked=0, reused=len(wanted))
    assert ask(model, wanted[:7], Store(tmp_path / "new")) == Drawn(asked=7, reused=0)


def test_what_comes_before_the_first_answer_comes_once_and_only_where_one_is_missing(
    model: Any, tmp_path: Path
) -> None:
    wanted, held = requests("theirs"), []

    def before() -> None:
        held.append(len(Store(tmp_path).responses.index()))

    ask(model, wanted[:3], Store(tmp_path), before=before, batch_size=1)
    ask(model, wanted[:3], Store(tmp_path), before=before)
    ask(model, wanted, Store(tmp_path), before=before, batch_size=4)
    assert held == [0, 3]


def test_damaged_lines_are_said_and_asked_again(model: Any, tmp_path: Path) -> None:
    wanted = requests("theirs")
    before = draw(model, wanted, Store(tmp_path))
    path = Store(tmp_path).responses.path
    path.write_bytes(path.read_bytes().replace(b'"sample_id":"7"', b'"sample_id":"6"'))
    model.asked.clear()
    watched = Watch()
    after = draw(model, wanted, Store(tmp_path), progress=watched)
    assert model.asked == [[("7", 0)]]
    assert [said for said in watched.said if "responses.0.jsonl line 8" in said] == watched.said != []
    assert [item.text for item in after] == [item.text for item in before]


@pytest.mark.parametrize("damage", [None, b"", b"torn"])
def test_a_lost_or_damaged_picture_is_drawn_again(model: Any, tmp_path: Path, damage: bytes | None) -> None:
    wanted = requests("theirs-drawing")
    before = draw(model, wanted, Store(tmp_path))
    store = Store(tmp_path)
    gone = before[3].image
    path = tmp_path / "media" / f"{gone}.png"
    whole = path.read_bytes()
    path.unlink()
    if damage is not None:
        path.write_bytes(damage)
        assert not store.verified(before[3])
    model.asked.clear()
    drawn = ask(model, wanted, store, batch_size=1)
    alike = [item for item in before if item.image == gone]
    assert model.asked == [[(alike[0].sample_id, alike[0].index)]]  # then its picture is there for the others
    assert drawn == Drawn(asked=1, reused=len(wanted) - 1)
    assert path.read_bytes() == whole


def shared(model: Any, folder: Path, world: int, wanted: list[Request], batch_size: int) -> list[list[Any]]:
    """Have so many processes draw, and return what each asked the model for."""

    def work() -> None:
        model.asked.clear()
        time.sleep(0.2 * current().rank)  # they begin at other times
        ask(model, wanted, Store(folder / "store", current().rank), batch_size=batch_size)
        asked = [[*key] for batch in model.asked for key in batch]
        (folder / f"asked.{current().rank}").write_text(json.dumps(asked))

    on_processes(world, work)
    return [json.loads((folder / f"asked.{rank}").read_text()) for rank in range(world)]


@pytest.mark.skipif(sys.platform != "linux", reason="forks")
def test_processes_draw_a_lost_picture_once(model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = requests("theirs-drawing")
    before = draw(model, wanted, Store(tmp_path / "store"))
    first, second = (item.image for item in (before[0], next(one for one in before if one.image != before[0].image)))
    for name in (first, second):
        (tmp_path / "store" / "media" / f"{name}.png").unlink()
    lost = [[item.sample_id, item.index] for item in before if item.image in (first, second)]
    monkeypatch.setattr(Store, "verified", lambda self, response: False)
    shares = shared(model, tmp_path, 2, wanted, batch_size=3)
    assert sorted(shares[0] + shares[1]) == sorted(lost)


@pytest.mark.skipif(sys.platform != "linux", reason="forks")
@pytest.mark.parametrize("world", [2, 5])
def test_processes_share_the_requests(model: Any, tmp_path: Path, world: int) -> None:
    wanted = requests("theirs")
    draw(model, wanted[4:9], Store(tmp_path / "store"))
    missing = [[item.sample_id, 0] for item in (*wanted[:4], *wanted[9:])]
    shares = shared(model, tmp_path, world, wanted, batch_size=2)
    assert sorted(key for each in shares for key in each) == sorted(missing)


def test_a_picture_of_a_pinned_data_set_is_known_by_its_content(model: Any, tmp_path: Path) -> None:
    """The same question about the same picture at another commit has another key, and is not asked again."""
    wanted = requests("theirs")
    first = draw(model, wanted, Store(tmp_path), pinned=True)
    assert all(item.content for item in first)
    moved = [request.model_copy(update={"key": request.key[::-1]}) for request in wanted]
    purple = ImageHandle(Image.new("RGB", (9, 9), "purple"))
    moved[5] = moved[5].model_copy(update={"images": (purple,)})
    model.asked.clear()
    assert ask(model, moved, Store(tmp_path), pinned=True, batch_size=4) == Drawn(asked=1, reused=len(wanted) - 1)
    assert model.asked == [[(moved[5].sample_id, 0)]]
    again = draw(model, moved, Store(tmp_path), pinned=True)
    assert [item.text for n, item in enumerate(again) if n != 5] == [
        item.text for n, item in enumerate(first) if n != 5
    ]


def test_a_torn_answer_is_asked_again(model: Any, tmp_path: Path) -> None:
    wanted = requests("theirs")
    before = draw(model, wanted, Store(tmp_path))
    path = Store(tmp_path).responses.path
    path.write_bytes(path.read_bytes()[:-7])
    model.asked.clear()
    after = draw(model, wanted, Store(tmp_path))
    assert model.asked == [[(wanted[-1].sample_id, 0)]]
    assert [item.text for item in after] == [item.text for item in before]


@pytest.mark.parametrize(
    ("do", "said"),
    [
        (crash, "RuntimeError: out of memory in two lines"),
        (lambda: None, "TypeError: the model answered with a NoneType instead of a str"),
        (lambda: b"yes", "TypeError: the model answered with a bytes instead of a str"),
        (lambda: "\ud800", "UnicodeEncodeError"),
    ],
    ids=["crash", "nothing", "bytes", "broken text"],
)
def test_one_bad_request_fails_alone_and_is_tried_again(
    model: Any, tmp_path: Path, do: Callable[[], Any], said: str
) -> None:
    wanted = requests("theirs")
    model.fail({("7", 0)}, do)
    found = {item.sample_id: item for item in draw(model, wanted, Store(tmp_path), batch_size=6)}
    assert [name for name, item in found.items() if item.status == "error"] == ["7"]
    assert said in (found["7"].error or "")
    assert (found["7"].text, found["7"].image) == (None, None)
    model.fail(set(), crash)
    model.asked.clear()
    again = {item.sample_id: item for item in draw(model, wanted, Store(tmp_path), batch_size=6)}
    assert model.asked == [[("7", 0)]]
    assert again["7"].status == "ok"
    assert {**found, "7": again["7"]} == again


def test_something_that_is_no_image_fails_alone(model: Any, tmp_path: Path) -> None:
    model.fail({("drawing-2", 1)}, lambda: "a picture")
    found = draw(model, requests("theirs-drawing"), Store(tmp_path))
    assert [(item.sample_id, item.index) for item in found if item.status == "error"] == [("drawing-2", 1)]
    assert all(item.image for item in found if item.status == "ok")


def test_a_model_that_forgets_answers_is_asked_one_by_one(model: Any, tmp_path: Path) -> None:
    answer = model.understand
    model.understand = lambda batch: answer(batch)[:1]
    found = draw(model, requests("theirs"), Store(tmp_path), batch_size=8)
    assert {item.status for item in found} == {"ok"}


def test_bad_input_stops_the_run_and_is_no_response(model: Any, tmp_path: Path) -> None:
    def bad() -> None:
        raise HermesError("the image does not decode")

    model.fail({("7", 0)}, bad)
    with pytest.raises(HermesError, match="does not decode"):
        draw(model, requests("theirs"), Store(tmp_path), batch_size=4)
    assert [item.sample_id for item in records(Store(tmp_path).responses).values()] == list("0123")


def no_space() -> None:
    raise OSError(28, "No space left on device")


def too_many_files() -> None:
    raise OSError(24, "Too many open files")


@pytest.mark.parametrize("do", [no_space, too_many_files])
@pytest.mark.parametrize("task", ["theirs", "theirs-drawing"])
def test_a_failure_of_the_machine_is_no_answer(model: Any, tmp_path: Path, do: Callable[[], None], task: str) -> None:
    wanted = requests(task)
    model.fail({(wanted[7].sample_id, wanted[7].index)}, do)
    with pytest.raises(HermesError, match="all answers so far are kept"):
        draw(model, wanted, Store(tmp_path), batch_size=4)
    stored = records(Store(tmp_path).responses)
    assert list(stored) == [item.key for item in wanted[:4]]
    assert {item.status for item in stored.values()} == {"ok"}
    model.fail(set(), do)
    assert {item.status for item in draw(model, wanted, Store(tmp_path), batch_size=4)} == {"ok"}
