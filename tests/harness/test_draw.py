"""Drawing answers: in order, stored as they come, resumed, and a request that fails does so alone."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hermes.harness import registry
from hermes.harness.errors import HermesError
from hermes.harness.plan import plan_tasks, requests_of, resolved_config
from hermes.harness.runner import draw
from hermes.harness.settings import EvalSettings
from hermes.harness.store import ResponseStore
from hermes.harness.types import Request

pytestmark = pytest.mark.usefixtures("plugins")


def crash() -> None:
    raise RuntimeError("out of memory\nin two lines")


def requests(task: str, **more: Any) -> list[Request]:
    (planned,) = plan_tasks(EvalSettings(model="theirs", tasks=(task,), **more), registry.model_class("theirs"))
    info = registry.model_class("theirs").load("theirs", "cpu").info
    return requests_of(planned, resolved_config(planned, info, 0))


def store(folder: Path) -> ResponseStore:
    return ResponseStore(folder / "task", folder / "media")


def test_answers_come_in_request_order_and_are_kept(model: Any, tmp_path: Path) -> None:
    wanted = requests("theirs")
    found = draw(model, wanted, store(tmp_path), batch_size=5)
    assert [(item.sample_id, item.index, item.seed) for item in found] == [
        (item.sample_id, item.index, item.seed) for item in wanted
    ]
    assert [item.text for item in found] == model.understand(wanted)
    assert [len(batch) for batch in model.asked[:-1]] == [5, 5, 5, 5, 4]
    assert list(store(tmp_path).read().values()) == found


def test_drawn_images_are_kept_and_come_back(model: Any, tmp_path: Path) -> None:
    wanted = requests("theirs-drawing", limit=3)
    found = draw(model, wanted, store(tmp_path))
    pictures = [store(tmp_path).image(item).open() for item in found]
    assert [p.tobytes() for p in pictures] == [p.tobytes() for p in model.generate(wanted)]


def test_only_what_is_missing_is_asked(model: Any, tmp_path: Path) -> None:
    wanted = requests("theirs")
    first = draw(model, wanted[:10], store(tmp_path), batch_size=4)
    model.asked.clear()
    found = draw(model, wanted, store(tmp_path), batch_size=4)
    assert [key for batch in model.asked for key in batch] == [(item.sample_id, 0) for item in wanted[10:]]
    assert found[:10] == first
    model.asked.clear()
    assert draw(model, wanted, store(tmp_path)) == found
    assert model.asked == []


def test_a_torn_answer_is_asked_again(model: Any, tmp_path: Path) -> None:
    wanted = requests("theirs")
    before = draw(model, wanted, store(tmp_path))
    path = store(tmp_path).journal.path
    path.write_bytes(path.read_bytes()[:-7])
    model.asked.clear()
    after = draw(model, wanted, store(tmp_path))
    assert model.asked == [[(wanted[-1].sample_id, 0)]]
    assert [item.text for item in after] == [item.text for item in before]


@pytest.mark.parametrize(
    ("do", "said"),
    [
        (crash, "RuntimeError: out of memory\nin two lines"),
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
    found = {item.sample_id: item for item in draw(model, wanted, store(tmp_path), batch_size=6)}
    assert [name for name, item in found.items() if item.status == "error"] == ["7"]
    assert said in (found["7"].error or "")
    assert (found["7"].text, found["7"].image) == (None, None)
    model.fail(set(), crash)
    model.asked.clear()
    again = {item.sample_id: item for item in draw(model, wanted, store(tmp_path), batch_size=6)}
    assert model.asked == [[("7", 0)]]
    assert again["7"].status == "ok"
    assert {**found, "7": again["7"]} == again


def test_something_that_is_no_image_fails_alone(model: Any, tmp_path: Path) -> None:
    model.fail({("drawing-2", 1)}, lambda: "a picture")
    found = draw(model, requests("theirs-drawing"), store(tmp_path))
    assert [(item.sample_id, item.index) for item in found if item.status == "error"] == [("drawing-2", 1)]
    assert all(item.image for item in found if item.status == "ok")


def test_a_model_that_forgets_answers_is_asked_one_by_one(model: Any, tmp_path: Path) -> None:
    answer = model.understand
    model.understand = lambda batch: answer(batch)[:1]
    found = draw(model, requests("theirs"), store(tmp_path), batch_size=8)
    assert {item.status for item in found} == {"ok"}


def test_bad_input_stops_the_run_and_is_no_response(model: Any, tmp_path: Path) -> None:
    def bad() -> None:
        raise HermesError("the image does not decode")

    model.fail({("7", 0)}, bad)
    with pytest.raises(HermesError, match="does not decode"):
        draw(model, requests("theirs"), store(tmp_path), batch_size=4)
    assert set(store(tmp_path).read()) == {(str(number), 0) for number in range(4)}
