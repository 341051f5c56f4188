"""Named settings: what a recipe sets, what goes above it, what is said of it, and that ids follow from values."""

import json
import re
import shlex
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer.main

import hermes
from hermes.cli import app
from hermes.harness.models.recipes import DIFFERS, UNKNOWN, Shelf
from hermes.harness.models.showo.config import ShowoConfig
from hermes.harness.run import chosen
from hermes.harness.run.asked import parse_task
from hermes.harness.run.chosen import recipe_lines, settings_for, told
from hermes.harness.run.recipes import SHELF
from hermes.harness.system.errors import HermesError
from hermes.leaderboards.read import read_run

Command = Callable[..., Any]
MADE = """
# A recipe of the tests.
for = { family = "hermes-tiny" }
model = "hermes-tiny"
seed = 3                                  # made up
decoding = [
    "generation@guidance_scale=1",        # made up
    "homologous-g@steps=4",               # made up
    "understanding@max_new_tokens=5",     # made up
]
unknown = ["who made it"]
differs = ["nothing"]
"""


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shelf with one recipe, for hermes-tiny, in place of the shipped one."""
    folder = tmp_path / "path" / "recipes_of_tests"
    folder.mkdir(parents=True)
    (folder / "__init__.py").touch()
    (folder / "tiny@made.toml").write_text(MADE)
    monkeypatch.syspath_prepend(tmp_path / "path")
    monkeypatch.setattr(chosen, "SHELF", Shelf("recipes_of_tests"))


@pytest.mark.parametrize("name", SHELF.fits())
def test_every_value_has_its_source(name: str) -> None:
    lines = SHELF.shipped(name).read_text().splitlines()
    values = [line for line in lines if re.match(r'\w+ = |    "\w+@', line)]
    values = [line for line in values if not re.match(r"(for|model|decoding|unknown|differs) ", line)]
    assert values == [line for line in values if re.search(r"\S +# \w|\S +# --\w", line)]
    assert max(map(len, lines)) <= 132
    assert {"unknown", "differs"} & {line.partition(" ")[0] for line in lines}
    assert all(isinstance(one, str) for what in (UNKNOWN, DIFFERS) for one in SHELF.told(name, what))


@pytest.mark.parametrize("name", SHELF.fits())
def test_every_recipe_can_be_asked_for_as_it_says(name: str) -> None:
    lines = SHELF.shipped(name).read_text().splitlines()
    words = shlex.split(next(line for line in lines if line.startswith("#     hermes eval ")).lstrip("# "))[2:]
    command = typer.main.get_command(app).commands["eval"]  # type: ignore[attr-defined]
    assert command.make_context("eval", words).params["recipe"] == name
    settings = settings_for({"recipe": name}, model=object())
    assert told(settings) == name
    assert [parse_task(line).name for line in settings.decoding] == list(settings.decoding)
    assert settings.model != "hermes-tiny"
    said = recipe_lines(settings)
    assert said[0].startswith(f"recipe {name}: ")
    assert "otherwise" not in said[0]
    assert all(line in said[0] for line in settings.decoding)


def test_what_sources_state() -> None:
    unison = settings_for({"recipe": "show-o@unison"}, model=object())
    assert (unison.dtype, unison.seed, unison.model) == ("float32", 666, "showlab/show-o-w-clip-vit-512x512")
    assert {"generation@guidance_scale=5", "generation@steps=18"} <= set(unison.decoding)
    dpg = {"dpg_bench@guidance_scale=10", "dpg_bench@steps=50", "geneval@steps=100"}
    assert dpg <= set(settings_for({"recipe": "show-o2@readme"}, model=object()).decoding)
    _, line = recipe_lines(settings_for({"recipe": "show-o@paper"}, model=object()))
    assert line.startswith("unknown, as no source states it: guidance, steps, size and seeds of every drawn picture; ")


def test_a_recipe_is_for_its_models(tmp_path: Path) -> None:
    folder = tmp_path / "show-o"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(ShowoConfig(50295, 8192, 256).as_json()))
    assert settings_for({"recipe": "show-o-256@readme", "model": str(folder)}).model == str(folder)
    with pytest.raises(HermesError) as error:
        settings_for({"recipe": "show-o@readme", "model": str(folder)})
    assert str(error.value) == (
        f"recipe 'show-o@readme' is for model showo, num_vq_tokens 1024, and '{folder}' is none; choose from "
        "show-o-256@readme, show-o@paper, or leave --recipe out"
    )
    with pytest.raises(HermesError, match=r"'show-o@readme' is for .* and 'hermes-tiny' is none; leave --recipe out"):
        settings_for({"recipe": "show-o@readme", "model": "hermes-tiny"})
    assert settings_for({"recipe": "show-o@readme", "model": "no such model"}).recipe == "show-o@readme"


@pytest.mark.usefixtures("made")
def test_options_are_above_a_file_above_the_recipe(tmp_path: Path) -> None:
    config = tmp_path / "mine.toml"
    config.write_text('recipe = "tiny@made"\nseed = 4\ndecoding = "generation@steps=5"\n')
    found = settings_for({"limit": 2}, config)
    assert (found.seed, found.limit, found.decoding[-1]) == (4, 2, "generation@steps=5")
    assert told(found) == "tiny@made, but seed 4, generation@steps=5"
    assert recipe_lines(found) == [
        "recipe tiny@made: seed 3, generation@guidance_scale=1, homologous-g@steps=4, understanding@max_new_tokens=5; "
        "given otherwise: seed 4, generation@steps=5",
        "unknown, as no source states it: who made it",
        "otherwise there, and not to be set here: nothing",
    ]
    assert settings_for({"recipe": "none"}, config).seed == 4
    assert told(settings_for({"decoding": ("geneval@steps=2",)})) == "geneval@steps=2"
    assert settings_for({}, Path("tiny@made")) == settings_for({"recipe": "tiny@made"})


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            ("--recipe", "show-o@papr"),
            "recipe 'show-o@papr' is none for models; choose from none, anole@readme, bagel@",
        ),
        (("--decoding", "drawing@steps=4"), "'drawing' is neither understanding nor generation nor a task"),
        (("--decoding", "geneval"), "--decoding 'geneval' names no setting; write it as geneval@KEY=VALUE"),
        (("--decoding", "generation@stepz=4"), "'stepz=4' is not KEY=VALUE"),
        (("--decoding", "understanding@text_steps=4"), "model 'hermes-tiny' has no setting 'text_steps'"),
    ],
)
def test_what_cannot_be_is_one_line(given: tuple[str, str], said: str, command: Command, tmp_path: Path) -> None:
    ended = command("eval", *given, "--tasks", "homologous-u", "--limit", "1", "--runs", tmp_path, "--device", "cpu")
    assert ended.code == 2
    assert said in ended.err
    assert ended.err.count("\n") == 1


@pytest.mark.usefixtures("made")
def test_the_id_follows_from_values_and_the_name_stands_in_results_and_tables(command: Command, tmp_path: Path) -> None:
    asked = ("eval", "--tasks", "homologous-g,homologous-u", "--limit", 2, "--device", "cpu", "--runs", tmp_path)
    by_recipe = command(*asked, "--recipe", "tiny@made")
    assert by_recipe.code == 0, by_recipe.err
    assert "recipe tiny@made: seed 3, generation@guidance_scale=1, homologous-g@steps=4," in by_recipe.err
    (path,) = tmp_path.glob("hermes-tiny/*/results.json")
    run = read_run(path)
    assert (run.settings, run.seed) == ("tiny@made", 3)
    tasks = json.loads((path.parent / "spec.json").read_text())["tasks"]
    assert [tasks["homologous-g"]["config"][name] for name in ("guidance_scale", "steps")] == [1.0, 4]
    assert tasks["homologous-u"]["config"]["max_new_tokens"] == 5
    assert "tiny@made" in (path.parent / "report.html").read_text()
    assert command("score", path.parent, "--protocol", "similarity").code == 0
    assert {read_run(one).settings for one in tmp_path.glob("hermes-tiny/*/results.json")} == {"tiny@made"}
    assert command(*asked, "--seed", 3).code == 0
    table = command("leaderboard", tmp_path).out
    assert "| hermes-tiny (settings tiny@made, official protocol) |" in table
    assert "| hermes-tiny (official protocol) |" in table
    assert f"({run.run_id}, judge oracle-1, settings: tiny@made)" in table
    explicit = "generation@guidance_scale=1,steps=4,understanding@max_new_tokens=5"
    assert command(*asked, "--seed", 3, "--decoding", explicit).code == 0
    assert read_run(path).settings == "generation@guidance_scale=1,steps=4, understanding@max_new_tokens=5"
    assert len([*tmp_path.glob("hermes-tiny/*/results.json")]) == 3


@pytest.mark.usefixtures("made")
def test_python_and_the_dry_run_know_it(command: Command, tmp_path: Path) -> None:
    found = hermes.evaluate(
        "hermes-tiny", tasks="homologous-g", recipe="tiny@made", decoding="generation@guidance_scale=0", limit=1,
        device="cpu", runs=tmp_path, progress=False,
    )  # fmt: skip
    assert read_run(found.folder / "results.json").settings == "tiny@made, but generation@guidance_scale=0"
    asked = ("eval", "--tasks", "homologous-g", "--limit", 1, "--recipe", "tiny@made", "--dry-run", "--json")
    dry = json.loads(command(*asked, "--device", "cpu", "--runs", tmp_path).out)
    assert dry["recipe"][1] == "unknown, as no source states it: who made it"
    assert (dry["tasks"][0]["answers"], dry["tasks"][0]["stored"]) == (1, 0)


def test_list_shows_them(command: Command) -> None:
    found = {one["name"]: one for one in json.loads(command("list", "recipes", "--json").out)}
    assert {"showo-512", "show-o@readme", "one-base"} <= set(found)
    assert found["show-o@readme"]["unknown"][1] == "precision"
    shown = " ".join(command("list", "recipes", "bagel@unison").out.split())
    assert "for model bagel" in shown
    assert "differs guidance holds while" in shown


def test_the_page_of_models_has_all_of_them() -> None:
    page = (Path(__file__).parents[3] / "docs" / "models.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `[\w-]+@[\w-]+` \|.*$", page, flags=re.MULTILINE) == [*map(row, SHELF.fits())]


def row(name: str) -> str:
    """A recipe in docs/models.md: its settings, then those of sides and tasks."""
    content, sides = SHELF.settings(name), defaultdict[str, list[str]](list)
    said = [f"{key} {str(value).lower()}" for key, value in content.items() if key not in ("model", "decoding")]
    for line in content["decoding"]:
        side, _, setting = line.partition("@")
        sides[side].append(setting.replace("_", " ").replace("=", " "))
    return f"| `{name}` | {'; '.join([*said, *(f'{side}: ' + ', '.join(found) for side, found in sides.items())])} |"
