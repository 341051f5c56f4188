"""Model cards: every score of the round beside the base model's, a command that plays it again, nothing private."""

import json
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from align_fake import FakeModel
from hub_server import Repository, serving
from huggingface_hub import ModelCard, constants

from hermes.align.play import selfplay
from hermes.align.play.card import card
from hermes.align.play.origin import Origin, command_of, origin_of, public
from hermes.align.play.selfplay import align
from hermes.align.settings import AlignSettings
from hermes.harness.models.source import Source, fingerprint
from hermes.harness.records.types import ModelInfo
from hermes.harness.system import registry
from hermes.leaderboards.read import read_run
from hermes.leaderboards.tables import spelled

SETTINGS: dict[str, Any] = {
    "model": "fake",
    "rounds": 1,
    "items": 4,
    "n": 2,
    "similarity": "facts",
    "critic": "oracle",
    "threshold": 0.0,
    "pairing": "either",
    "epochs": 1,
    "lr": 1e-3,
    "batch_size": 2,
    "replay_batch": 2,
    "eval_limit": 2,
    "eval_tasks": ["pope"],
    "device": "cpu",
}
NAMES = ("homologous-u", "homologous-g", "pope")
INFO = ModelInfo(name="owner/base", fingerprint="abc", abilities=("understanding",), revision="c0ffee")
ORIGIN = Origin("owner/base", "owner/base", "abc", ("owner/base",), "c0ffee", {"license": "mit"}, takes_adapters=True)

pytestmark = pytest.mark.usefixtures("fake_model")


def play(folder: Path, **changes: Any) -> dict[str, Any]:
    return align(AlignSettings.model_validate({**SETTINGS, "out": folder, **changes}))


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-play of one round that also left an adapter, as one with LoRA does, with PEFT's own card in it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(registry._of_files, ("models", "fake"), offer())
        real = selfplay.learn

        def learn(game: Any, number: int) -> None:
            real(game, number)
            adapter = game.home(number) / "training" / "adapter"
            adapter.mkdir()
            (adapter / "README.md").write_text("PEFT's own")

        patch.setattr(selfplay, "learn", learn)
        folder = tmp_path_factory.mktemp("played") / "run"
        play(folder)
    return folder


def offer() -> Any:
    return registry.Offer("models", FakeModel.name, FakeModel, "align_fake.py")


def readme(folder: Path, number: int = 1) -> Path:
    return folder / f"round-{number}" / "checkpoint" / "README.md"


def test_the_metadata_hold_every_score_of_the_round(played: Path) -> None:
    data = ModelCard.load(readme(played)).data
    written = json.loads((played / "round-1" / "evaluation" / "results.json").read_text())
    wanted = {name: written["results"][name]["metrics"]["accuracy"] for name in NAMES}
    found = {(one.dataset_config, one.metric_type): one for one in data.eval_results}
    assert set(found) == {(name, "accuracy") for name in NAMES} | {("homologous-g", "gap")}
    for key, metric in {
        **{(name, "accuracy"): metric for name, metric in wanted.items()},
        ("homologous-g", "gap"): written["gap"]["homologous"]["gap"],
    }.items():
        one = found[key]
        assert one.metric_value == metric["value"]
        assert one.metric_args["n"] == metric["n"]
        assert one.metric_args.get("low") == metric["low"]
        assert (one.metric_args["run"], one.metric_args["partial"]) == (written["run_id"], True)
        assert (one.dataset_type, one.dataset_split) == ("hermes-shapes", "test")
    assert found["homologous-g", "accuracy"].metric_args["judge"] == "oracle-1"
    assert found["pope", "accuracy"].task_type == "image-text-to-text"
    assert found["homologous-g", "accuracy"].task_type == "text-to-image"
    assert (data.model_name, data.base_model, data.license) == ("fake, round 1", None, None)
    assert (data.library_name, data.pipeline_tag) == ("hermes-bench", "any-to-any")


def test_the_table_lays_the_round_beside_the_base_model(played: Path) -> None:
    text = readme(played).read_text()
    runs = [read_run(played / f"round-{number}" / "evaluation" / "results.json") for number in (0, 1)]
    assert f"Base model: run {runs[0].run_id}; this model: run {runs[1].run_id}." in text
    for name, heading in (("homologous-u", "U"), ("homologous-g", "G"), ("pope", "POPE")):
        (row,) = (line for line in text.splitlines() if line.startswith(f"| {heading} |"))
        results = [run.results[name] for run in runs]
        metrics = [result.metrics["accuracy"] for result in results]
        places = 1 if name == "pope" else 3
        for metric in metrics:
            assert f"| {spelled(metric, places)} (partial) | {metric.n} |" in row
        assert f"| official | {results[0].judge or 'none'} | shapes world |" in row
    assert f"| {spelled(runs[1].gap.homologous.gap, 3)} (partial) |" in text  # type: ignore[union-attr]
    assert "**shapes world**" in text
    assert "They say nothing about photographs" in text


def test_the_command_on_the_card_plays_the_same_round(
    played: Path, tmp_path: Path, command: Callable[..., Any]
) -> None:
    block = readme(played).read_text().split("```bash\n")[1].split("\n```")[0]
    program, *arguments = shlex.split(block)
    assert program == "hermes"
    assert command(*arguments, "--out", tmp_path / "again", "--device", "cpu", "-q").code == 0
    for name in ("model.safetensors", "README.md"):
        path = Path("round-1") / "checkpoint" / name
        assert (tmp_path / "again" / path).read_bytes() == (played / path).read_bytes()


def test_a_card_is_written_once_and_the_same_after_a_kill(played: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(played, folder)
    before = readme(folder).read_bytes()
    readme(folder).unlink()
    (folder / "round-1" / "round.json").unlink()
    (folder / "round-1" / "checkpoint" / ".README.md.77.part").write_text("half")
    play(folder)
    assert readme(folder).read_bytes() == before
    assert sorted(path.name for path in readme(folder).parent.iterdir()) == [
        "README.md",
        "config.json",
        "model.safetensors",
    ]
    readme(folder).write_text("my own words")
    play(folder, rounds=2)
    assert readme(folder).read_text() == "my own words"
    assert "--rounds 2 " in readme(folder, 2).read_text()


def test_an_adapter_has_a_card_of_its_own(played: Path) -> None:
    text = (played / "round-1" / "training" / "adapter" / "README.md").read_text()
    data = ModelCard(text).data
    assert (data.library_name, data.to_dict()["base_model_relation"]) == ("peft", "adapter")
    assert "The LoRA adapter of round 1" in text
    assert "--adapter" not in text  # FakeModel takes none
    assert "into which the adapter is merged" in text


def test_an_adapter_says_on_what_it_belongs(played: Path) -> None:
    first, second = (of_hub(played, number, adapter=True) for number in (1, 2))
    assert "hermes eval --model owner/base --adapter FOLDER" in first
    assert ModelCard(first).data.base_model == ["owner/base"]
    assert "hermes eval --model BEFORE --adapter FOLDER" in second
    assert "BEFORE is the checkpoint of round 1" in second
    assert ModelCard(second).data.base_model is None


def test_a_model_of_the_hub_is_the_base_model_and_its_licence_stays(played: Path) -> None:
    text = of_hub(played, 2, adapter=False, data="hub:you/items@v1")
    data = ModelCard(text).data
    assert (data.base_model, data.license, data.datasets) == (["owner/base"], "mit", "you/items")
    assert data.to_dict()["base_model_relation"] == "finetune"
    assert "owner/base at c0ffee, weights abc" in text
    assert "That of the base model: mit." in text
    assert "shapes world**" not in text
    assert "Numbers compare only where data, protocol and judge are the same." in text


def of_hub(played: Path, number: int, adapter: bool, **changes: Any) -> str:
    settings = AlignSettings.model_validate({**SETTINGS, "model": "owner/base", **changes})
    entry = json.loads((played / "round-1" / "round.json").read_text())
    run = read_run(played / "round-1" / "evaluation" / "results.json").model_copy(update={"world": "real"})
    return card(settings, ORIGIN, number, entry, run, run, adapter)


def test_loaders_do_not_mind_the_card(played: Path, tmp_path: Path) -> None:
    shutil.copytree(readme(played).parent, tmp_path / "bare")
    (tmp_path / "bare" / "README.md").unlink()
    assert fingerprint(readme(played).parent) == fingerprint(tmp_path / "bare")


def test_no_folder_of_this_machine_is_named() -> None:
    settings = AlignSettings.model_validate(
        {
            **SETTINGS,
            "model": "/home/me/secret/base",
            "data": "/home/me/my items.jsonl",
            "judge": "mask2former,mplug:/home/me/mplug",
            "pairs": "/home/me/pairs.json",
            "out": "/home/me/out",
            "plugin": ["/home/me/own.py"],
            "trackers": ["tensorboard"],
            "bf16": False,
        }
    )
    local = Origin("base", "base", "abc", (), None, {}, takes_adapters=False)
    words = shlex.split(command_of(settings, local, 3))
    assert not [word for word in words if "/home" in word]
    assert words[:6] == ["hermes", "align", "--model", "base", "--rounds", "3"]
    assert words[words.index("--data") + 1] == "my items.jsonl"
    assert words[words.index("--judge") + 1] == "mask2former,mplug:mplug"
    assert words[words.index("--pairs") + 1] == "pairs.json"
    assert "--no-bf16" in words
    assert not {"--out", "--plugin", "--trackers", "--device"} & set(words)
    kept = ("owner/name@v1", "hub:owner/name", "openai:gpt@http://host/v1", "shapes", "hermes-tiny")
    assert [public(text) for text in kept] == list(kept)


def test_a_benchmark_in_a_folder_of_this_machine_is_named_without_it(played: Path) -> None:
    task = "lmms:/home/me/tasks:mine"
    entry = json.loads((played / "round-1" / "round.json").read_text())
    run = read_run(played / "round-1" / "evaluation" / "results.json")
    run = run.model_copy(update={"results": {**run.results, task: run.results["pope"]}})
    changed = {"eval_tasks": [task, "pope"], "judge": "mplug:/home/me/mplug,openai:gpt@http://host/v1"}
    text = card(AlignSettings.model_validate({**SETTINGS, **changed}), ORIGIN, 1, entry, run, run, adapter=False)
    assert "/home" not in text
    assert "--eval-tasks lmms:tasks:mine,pope " in text
    assert "--judge mplug:mplug,openai:gpt@http://host/v1" in text
    assert "lmms:tasks:mine" in {one.dataset_config for one in ModelCard(text).data.eval_results}


def test_a_prompt_is_given_word_for_word() -> None:
    prompt = "Say what is left/right, in one sentence."
    settings = AlignSettings.model_validate({**SETTINGS, "caption_prompt": prompt})
    words = shlex.split(command_of(settings, ORIGIN, 1))
    assert words[words.index("--caption-prompt") + 1] == prompt


def test_the_licence_is_what_the_base_models_card_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = "---\nlicense: other\nlicense_name: theirs\ntags: [x]\n---\n# base\n"

    def origin(source: Source, revision: str | None = None) -> Origin:
        class Theirs(FakeModel):
            license = "mit"  # of weights that come with the class, which these do not

            @classmethod
            def sources(cls, reference: str) -> list[Source]:
                return [source]

        return origin_of(Theirs, "theirs", INFO.model_copy(update={"revision": revision}))

    folder = Source(str(tmp_path), None, local=True)
    assert (origin(folder).licence, origin(folder).hub, origin(folder).reference) == ({}, (), "owner/base")
    (tmp_path / "README.md").write_text(said)
    assert origin(folder).licence == {"license": "other", "license_name": "theirs"}
    with serving() as hub:
        monkeypatch.setattr(constants, "ENDPOINT", hub.endpoint)
        hub.repositories["owner/base"] = there = Repository(private=False)
        there.branches["main"]["README.md"] = said.encode()
        read = there.commit_of("main")
        there.branches["new"] = {"README.md": b"---\nlicense: mit\n---\n"}
        found = origin(Source("owner/base", "new", local=False), read)
        assert (found.hub, found.revision) == (("owner/base",), read)
        assert found.licence == {"license": "other", "license_name": "theirs"}
    away = origin(Source("owner/other", None, local=False), "c0ffee")
    assert (away.revision, away.licence) == ("c0ffee", {})
