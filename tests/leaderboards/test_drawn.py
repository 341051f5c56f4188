"""Which pictures a report shows: best, worst and random by a seed, and before and after."""

import shutil
from pathlib import Path

import pytest
from drawing_runs import drawing, playing

from hermes.leaderboards.drawn import MOST, Drawing, before_and_after, chosen
from hermes.leaderboards.read import read_history, read_run

WORTHS = {f"s{k:02}": (k / 40, (k + 1) / 40) for k in range(30)}


def kinds(folder: Path) -> dict[str, list[Drawing]]:
    ((task, found),) = chosen(read_run(folder / "results.json"))
    assert task == "geneval"
    return found


def names(found: dict[str, list[Drawing]]) -> dict[str, list[str]]:
    return {kind: [one.sample for one in members] for kind, members in found.items()}


def test_best_worst_and_random_are_of_different_samples(tmp_path: Path) -> None:
    found = kinds(drawing(tmp_path, "a", {"geneval": WORTHS}))
    assert names(found)["Best"] == ["s29", "s28", "s27", "s26"]
    assert names(found)["Worst"] == ["s00", "s01", "s02", "s03"]
    assert [one.answers[0].worth for one in found["Best"]] == [30 / 40, 29 / 40, 28 / 40, 27 / 40]
    assert [one.answers[0].worth for one in found["Worst"]] == [0, 1 / 40, 2 / 40, 3 / 40]
    shown = [sample for members in names(found).values() for sample in members]
    assert len(shown) == len(set(shown)) == 12
    best = found["Best"][0]
    assert best.prompt.startswith("s29 ")
    assert best.answers[0].plan == "plan of s29"
    assert best.answers[0].picture is not None
    assert best.answers[0].picture.is_file()


def test_the_run_id_is_the_seed(tmp_path: Path) -> None:
    equal = dict.fromkeys(WORTHS, (0.5,))
    first, second = (drawing(tmp_path, name, {"geneval": equal}) for name in ("a", "b"))
    assert names(kinds(first)) == names(kinds(first))
    assert names(kinds(first)) != names(kinds(second))


def test_no_page_has_more_pictures_than_it_may(tmp_path: Path) -> None:
    tasks = {"geneval": WORTHS, "dpg_bench": WORTHS, "homologous-g": WORTHS, "homologous-g@guidance_scale=1.5": WORTHS}
    found = list(chosen(read_run(drawing(tmp_path, "a", tasks) / "results.json")))
    assert len(found) == 4
    assert sum(len(members) for _, kinds in found for members in kinds.values()) <= MOST


def test_a_picture_of_another_wording_is_not_shown(tmp_path: Path) -> None:
    folder = drawing(tmp_path, "a", {"geneval": {"s": (0.5,)}})
    (samples,) = tmp_path.glob("answers/*/samples/*.jsonl")
    samples.write_text(samples.read_text().replace('"asked":""', '"asked":"00"'))
    assert list(chosen(read_run(folder / "results.json"))) == []


@pytest.mark.parametrize("gone", ["answers", "tiny/a/run.json"])
def test_without_a_store_nothing_is_shown(tmp_path: Path, gone: str) -> None:
    folder = drawing(tmp_path, "a", {"geneval": WORTHS})
    path = tmp_path / gone
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert list(chosen(read_run(folder / "results.json"))) == []


def test_before_and_after_are_of_the_same_items(tmp_path: Path) -> None:
    before = {f"i{k}": (0.5,) for k in range(9)}
    after = before | {"i0": (1.0,), "i1": (0.75,), "i2": (0.0,)}
    found = before_and_after(read_history(playing(tmp_path, [before, before, after]) / "history.json"))
    assert names(found)["Rose most"] == ["i0", "i1"]
    assert names(found)["Fell most"] == ["i2"]
    assert len(found["Random"]) == 5
    assert {"i0", "i1", "i2"}.isdisjoint(names(found)["Random"])
    fell = found["Fell most"][0]
    assert [answer.worth for answer in fell.answers] == [0.5, 0.0]
    assert len({answer.picture for answer in fell.answers}) == 2


def test_one_round_has_no_before_and_after(tmp_path: Path) -> None:
    assert before_and_after(read_history(playing(tmp_path, [WORTHS]) / "history.json")) == {}
