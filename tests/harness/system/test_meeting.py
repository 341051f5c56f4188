"""Processes that wait for each other: however long it takes, as long as they live; work is shared and none is lost."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from forked import on_processes

from hermes.harness.system import meeting
from hermes.harness.system.errors import HermesError
from hermes.harness.system.processes import TIMEOUT, current, time_limit
from hermes.harness.system.sharing import Sharing, dealt


def test_one_process_has_all_the_work_and_waits_for_nobody() -> None:
    work = Sharing(range(7), 3, "work")
    assert [list(part) for part in work] == [[0, 1, 2], [3, 4, 5], [6]]
    assert work.did(3) == 3
    assert current().gathered(["a"]) == ["a"]
    assert current().total(4) == 4


@pytest.mark.parametrize("world", [2, 4, 7])
@pytest.mark.parametrize("count", [1, 3, 8, 11, 64])
def test_shares_differ_by_one_item_at_the_most(world: int, count: int) -> None:
    shares = dealt(range(count), world, 2)
    sizes = [sum(map(len, parts)) for parts in shares]
    assert max(sizes) - min(sizes) <= 1
    assert sorted(item for parts in shares for part in parts for item in part) == list(range(count))


def test_who_is_done_takes_what_a_slow_process_has_not_begun(tmp_path: Path) -> None:
    def work() -> None:
        mine, steps, sharing = list[int](), 0, Sharing(range(90), 2, "work")
        for part in sharing:
            time.sleep(0.4 if current().rank == 0 else 0.002)
            mine += part
            steps += sharing.did(len(part))
        steps += sharing.did(0)
        (tmp_path / str(current().rank)).write_text(" ".join(map(str, mine)))
        assert steps == 90
        assert current().gathered([[current().rank, "x"]]) == [[0, "x"], [1, "x"], [2, "x"]]
        assert current().total(current().rank) == 3

    on_processes(3, work)
    shares = [list(map(int, (tmp_path / str(rank)).read_text().split())) for rank in range(3)]
    assert sorted(item for share in shares for item in share) == list(range(90))
    assert len(shares[0]) < 20


def test_processes_that_see_other_work_are_told(tmp_path: Path) -> None:
    def work() -> None:
        with pytest.raises(HermesError, match="from 3 to 4 items: they do not see the same files"):
            list(Sharing(range(3 + current().rank), 1, "work"))

    on_processes(2, work)


def test_a_process_at_work_is_waited_for_beyond_the_time_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TIMEOUT, "1")
    monkeypatch.setattr(meeting, "TELL", 0.5)

    def work() -> None:
        here, said = current(), list[str]()
        here.tell(said.append)
        if here.rank == 1:
            here.doing("similarity")
            time.sleep(3)
        here.wait()
        if here.main:
            assert "process 0 waits for process 1 (similarity)" in said

    on_processes(2, work)


def test_a_process_that_has_ended_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says so itself where it can; else its silence does."""
    monkeypatch.setenv(TIMEOUT, "1")

    def on_two(end: Callable[[], object]) -> str:
        def work() -> None:
            here = current()
            here.doing("drawing")
            if here.rank == 1:
                time.sleep(0.5)
                end()
                os._exit(0)
            with pytest.raises(HermesError) as caught:
                here.wait()
            (tmp_path / "said").write_text(str(caught.value))
            os._exit(0)

        on_processes(2, work)
        return (tmp_path / "said").read_text()

    assert "process 1 has given no sign of life for 1 s, after drawing" in on_two(lambda: None)
    assert "process 1 has ended" in on_two(lambda: current().meeting.leave())  # type: ignore[union-attr]


@pytest.mark.parametrize("said", ["no", "0", "-3", "nan", "1e9"])
def test_a_time_limit_that_is_none_is_refused(said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TIMEOUT, said)
    with pytest.raises(HermesError, match="HERMES_PROCESS_TIMEOUT"):
        time_limit()
