"""The recipe of a model's family: which one it is, what goes above it, where it is said, and what it holds."""

import json
import re
import shlex
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import tiny_janus

import hermes
from hermes.align.play import selfplay
from hermes.align.play.budget import Ranks
from hermes.align.play.chosen import FINER, recipe_lines, recipe_of, settings_for
from hermes.align.play.fits import Training
from hermes.align.play.origin import Origin, command_of
from hermes.align.play.recipes import SHELF
from hermes.align.settings import AlignSettings
from hermes.harness.models.showo.config import ShowoConfig
from hermes.harness.models.tiny.adapter import TinyModel
from hermes.harness.system.errors import HermesError
from hermes.options import NAMES

Command = Callable[..., Any]
JANUS = {"model_type": "janus", "text_config": {"num_hidden_layers": 24}}
SHOWO2 = {"_class_name": "Showo2Qwen2_5", "hidden_size": 1536}
DRAWS = {
    "janus": "janus.adapter:DEFAULTS",
    "showo": "showo.adapter:DEFAULTS",
    "showo2": "showo2.adapter:DEFAULTS",
    "emu3": "emu3.adapter:DEFAULTS",
    "bagel": "bagel.adapter:DEFAULTS",
    "mmada": "mmada.adapter:DEFAULTS",
    "vilau": "vilau.adapter:IMAGES",
    "liquid": "liquid.adapter:Liquid.defaults",
    "anole": "anole.adapter:Anole.defaults",
    "hermes-tiny": "tiny.adapter:DEFAULTS",
    "hermes-flow": "flow.adapter:DEFAULTS",
}
"""Where each adapter says how it draws, and so how G is drawn."""


def checkpoint(folder: Path, config: dict[str, Any], file: str = "config.json") -> str:
    folder.mkdir()
    (folder / file).write_text(json.dumps(config))
    return str(folder)


@pytest.mark.parametrize(
    ("name", "config", "recipe"),
    [
        ("show-o", ShowoConfig(50295, 8192, 256).as_json(), "showo-256"),
        ("show-o-512x512", ShowoConfig(50295, 8192, 1024).as_json(), "showo-512"),
        ("HermesFlow", ShowoConfig(50295, 8192, 1024).as_json(), "hermesflow"),
        ("Janus-Pro-1B", JANUS, "janus-1b"),
        ("Janus-Pro-7B", JANUS | {"text_config": {"num_hidden_layers": 30}}, "janus-7b"),
        ("odd", {"model_type": "janus", "text_config": 3}, "janus-1b"),
        ("emu3", {"model_type": "emu3"}, "emu3"),
        ("show-o2-1.5B", SHOWO2, "showo2-1.5b"),
        ("show-o2-7B", SHOWO2 | {"hidden_size": 3584}, "showo2-7b"),
        ("tiny", {"model_type": "hermes-tiny"}, "hermes-tiny"),
        ("llava", {"model_type": "llava"}, "vlm"),
        ("nobody", {"model_type": "nobody"}, None),
    ],
)
def test_the_family_and_the_size_choose(name: str, config: dict[str, Any], recipe: str | None, tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / name, config)
    assert recipe_of(folder) == recipe
    assert settings_for({"model": folder}).recipe == recipe


def test_a_pipeline_is_known_by_its_index_and_a_name_by_itself(tmp_path: Path) -> None:
    for kind, recipe in (("", "stable-diffusion"), ("XL", "sdxl"), ("3", "sd3")):
        index = {"_class_name": f"StableDiffusion{kind}Pipeline"}
        assert recipe_of(checkpoint(tmp_path / f"sd{kind}", index, "model_index.json")) == recipe
    assert (recipe_of("hermes-flow"), recipe_of("no such model"), recipe_of(3)) == ("hermes-flow", None, None)
    assert recipe_of("janus:no such folder") is None


def test_the_command_line_is_above_the_file_above_the_recipe_above_the_defaults(tmp_path: Path) -> None:
    model = checkpoint(tmp_path / "show-o", ShowoConfig(50295, 8192, 1024).as_json())
    config = tmp_path / "mine.toml"
    config.write_text("lr = 3e-5\nbatch_size = 8\n")
    found = settings_for({"model": model, "batch_size": 16, "seed": None}, config)
    assert (found.batch_size, found.lr, found.beta_gen, found.seed) == (16, 3e-5, 0.2, 0)
    bare = settings_for({"model": model, "recipe": "none"})
    assert (bare.lr, bare.identity()) == (2e-4, AlignSettings(model=model).identity())
    assert settings_for({"model": model}, Path("none")) == bare
    config.write_text('recipe = "showo-released"\nlr = 3e-5\n')
    assert (settings_for({"model": model}, config).rule, settings_for({"model": model}, config).lr) == (
        "released",
        3e-5,
    )
    assert settings_for({"model": model}, Path("showo-released")) == settings_for(
        {"model": model, "recipe": "showo-released"}
    )
    with pytest.raises(HermesError, match="recipe 'columns' is none for models; choose from none, anole, bagel"):
        settings_for({"recipe": "columns"})
    config.write_text("lr = -1")
    with pytest.raises(HermesError, match=f"{config}: lr = -1"):
        settings_for({"model": model}, config)


@pytest.mark.parametrize(("given", "finer"), [("epochs", "steps"), ("n", "n_images"), ("lora_rank", "lora_alpha")])
def test_a_setting_that_is_given_is_not_overruled_by_a_finer_one_of_the_recipe(given: str, finer: str) -> None:
    recipe = "janus-7b" if given == "lora_rank" else "showo-512"
    assert getattr(settings_for({"recipe": recipe}), finer) is not None
    found = settings_for({"recipe": recipe, given: 4})
    assert (getattr(found, given), getattr(found, finer)) == (4, None)
    assert f"given otherwise: {finer}" in recipe_lines(found)[0] or f", {finer}" in recipe_lines(found)[0]
    assert getattr(settings_for({"recipe": recipe, given: 4, finer: 5}), finer) == 5
    assert finer in FINER[given]


def test_hermes_flow_prefers_pictures_alone() -> None:
    expected = AlignSettings(model="hermes-flow", recipe="hermes-flow", objective="gen", pairing="either")
    assert settings_for({"model": "hermes-flow"}) == expected
    assert not expected.prefers_captions


def test_no_recipe_plays_as_before() -> None:
    """Its id follows from this, so what was played goes on."""
    assert settings_for({"recipe": "none"}) == AlignSettings(recipe="none")


def test_hermes_tiny_trains_on_the_best_of_its_own_pictures() -> None:
    found = settings_for({"model": "hermes-tiny"})
    assert (found.recipe, found.objective, found.side_loss, found.guidance) == ("hermes-tiny", "gen", "sft", 1.0)
    assert not found.prefers_captions


def test_an_adapter_is_not_mixed_with_the_start() -> None:
    """LoRA and RegMean do not go together, so who gives a rank does not get the recipe's weight of it."""
    assert settings_for({"model": "hermes-tiny", "lora_rank": 4}).regmean == 0.0


@pytest.mark.parametrize("objective", ["sum", "product", "replay"])
def test_who_gives_an_objective_means_preferences(objective: str) -> None:
    """And not the losses of winners by themselves, which a recipe may have."""
    found = settings_for({"model": "hermes-tiny", "objective": objective})
    assert found.side_loss == "sigmoid"
    # SEED-X has a likelihood of texts alone, whether its objective is the recipe's or given.
    assert settings_for({"recipe": "seedx", "objective": "und"}).pairing == "either"
    assert settings_for({"model": "hermes-tiny", "objective": "sum", "side_loss": "sft"}).side_loss == "sft"


@pytest.mark.parametrize("name", SHELF.fits())
def test_every_value_has_its_source(name: str) -> None:
    lines = SHELF.path(Path(f"{name}.toml")).read_text().splitlines()
    assert [line for line in lines if re.match(r"\w+ = ", line) and not re.match(r"(for|model) ", line)] == [
        line for line in lines if re.match(r"\w+ = .*\S +# \w", line)
    ]
    command = next(line for line in lines if line.startswith("#     hermes align "))
    assert re.search(r"--model (\S+)", command)
    assert max(map(len, lines)) <= 132


@pytest.mark.parametrize("name", [name for name, fit in SHELF.fits().items() if fit.family in DRAWS])
def test_candidates_are_drawn_as_g_is(name: str) -> None:
    module, _, path = DRAWS[SHELF.fits()[name].family].partition(":")
    value: Any = import_module(f"hermes.harness.models.{module}")
    for part in path.split("."):
        value = getattr(value, part)
    # hermes-tiny draws its candidates as well as it can, and learns to draw so without guidance.
    best = TinyModel.best_guidance if name == "hermes-tiny" else value.guidance_scale
    assert SHELF.settings(name)["guidance"] == best


def test_show_o_is_trained_as_the_paper_says_and_as_the_code_does() -> None:
    paper, code = settings_for({"recipe": "showo-512"}), settings_for({"recipe": "showo-released"})
    assert (paper.lr, paper.weight_decay, paper.batch_size, paper.steps, paper.beta_gen) == (2e-5, 0.01, 4, 3000, 0.2)
    assert (paper.warmup, paper.clip, paper.n, paper.n_images, paper.rule) == (0.0, 0.0, 10, 16, "paper")
    from hermes.align.training.schedule import learning_rate

    rates = [learning_rate(step, 3000, code) for step in (0, 1499, 2999)]
    assert rates == pytest.approx([2e-5 * step / 5000 for step in (1, 1500, 3000)])
    assert (code.batch_size, code.clip, code.rule) == (1, 0.0, "released")
    assert settings_for({}, Path("paper")) == paper.model_copy(update={"recipe": "showo-512"})


@pytest.mark.slow
@pytest.mark.long
def test_recipes_of_published_sizes_fit_a_gpu_of_80_gb(tmp_path: Path) -> None:
    from test_published_sizes import JANUS

    from hermes.harness.models.janus.outline import outline_of as janus
    from hermes.harness.models.showo.outline import outline_of as showo

    checkpoint(tmp_path / "showo", ShowoConfig(50295, 8192, 1024).as_json())
    checkpoint(tmp_path / "janus", JANUS)
    outlines = {
        "showo-512": showo(tmp_path / "showo" / "config.json", 50),
        "janus-7b": janus(tmp_path / "janus" / "config.json"),
    }
    for name, outline in outlines.items():
        settings = settings_for({"recipe": name, "bf16": True})
        for ranks in (Ranks(), Ranks(number=8)):
            training = Training(outline, ("text", "image"), ranks, cuda=True, free=80 * 10**9)
            assert training.budget(settings).largest(training.free) >= settings.micro_batch, name


def test_what_holds_and_what_does_not_is_one_line() -> None:
    (line,) = recipe_lines(settings_for({"recipe": "janus-7b", "lr": 1e-4}))
    assert line.startswith("recipe janus-7b: threshold 0.6, ")
    assert ", lora_rank 16," in line
    assert line.endswith("; given otherwise: lr")
    assert recipe_lines(AlignSettings(model="fake"))[0].startswith("recipe: there is none for this model; ")
    assert recipe_lines(settings_for({"recipe": "none"}))[0].startswith("recipe none: ")
    _, passes = recipe_lines(settings_for({"recipe": "showo-512", "items": 800}))
    assert passes == (
        "3,000 steps of 4 are 15.0 passes over 800 items; the recipe has 2.4 over 5,000, which are --steps 480"
    )
    assert len(recipe_lines(settings_for({"recipe": "showo-512", "items": 800, "steps": 480}))) == 1


def test_it_is_said_before_and_at_the_start(command: Command) -> None:
    given = ("align", "--items", 2, "-n", 2, "--rounds", 1, "--steps", 1, "--eval-limit", 1, "--device", "cpu")
    dry = command(*given, "--dry-run")
    assert re.search(
        r"recipe hermes-tiny: rule fresh, .* lr 0.0002, .*; given otherwise: items, n", " ".join(dry.out.split())
    )
    (line,) = json.loads(command(*given, "--dry-run", "--json").out)["recipe"]
    assert line in " ".join(command(*given).err.split())
    bare = json.loads(command(*given, "--recipe", "none", "--dry-run", "--json").out)["recipe"]
    assert bare[0].startswith("recipe none: ")
    assert command("align", "--recipe", "papr").err.startswith("hermes: recipe 'papr' is none for models; choose from")


def test_python_has_the_same_rule(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[AlignSettings] = []

    def stop(settings: AlignSettings, *_: object) -> None:
        found.append(settings)
        raise HermesError("enough")

    monkeypatch.setattr(selfplay, "align", stop)
    model = checkpoint(tmp_path / "show-o", ShowoConfig(50295, 8192, 1024).as_json())
    for given in ({}, {"lr": 2e-4}, {"recipe": "none"}):
        with pytest.raises(HermesError, match="enough"):
            hermes.align(model, **given, progress=False)  # type: ignore[arg-type]
    assert [(one.recipe, one.lr, one.clip) for one in found] == [
        ("showo-512", 2e-5, 0.0),
        ("showo-512", 2e-4, 0.0),  # the default of bare settings, given all the same
        ("none", 2e-4, 1.0),
    ]


@pytest.mark.parametrize(
    "given", [{}, {"lr": 2e-4, "epochs": 4}, {"recipe": "showo-released", "seed": 3}, {"recipe": "none"}]
)
def test_the_command_of_a_card_ends_in_the_same_settings(given: dict[str, Any], tmp_path: Path) -> None:
    model = checkpoint(tmp_path / "show-o", ShowoConfig(50295, 8192, 1024).as_json())
    settings = settings_for({"model": model, **given})
    origin = Origin("show-o", model, "abc", (), None, {}, takes_adapters=True)
    words = shlex.split(command_of(settings, origin, 3))[2:]
    flags = {"--" + name.replace("_", "-"): name for name in AlignSettings.model_fields} | {NAMES["n"][0]: "n"}
    told = {flags[flag]: value for flag, value in zip(words[::2], words[1::2], strict=True)}
    again = settings_for(
        {
            name: json.loads(value) if name != "caption_prompt" and re.match(r"[\d.]", value) else value
            for name, value in told.items()
        }
    )
    assert again.identity() == settings.identity()
    assert again.recipe == settings.recipe


def test_a_model_is_played_by_its_recipe(tmp_path: Path) -> None:
    """Janus, tiny: under LoRA, and guided as G is."""
    folder = tiny_janus.save(tmp_path / "tiny-janus")
    played = hermes.align(
        str(folder), data="shapes", judge="oracle", critic="oracle", items=2, n=2, rounds=1, epochs=1, batch_size=1,
        threshold=0.0, pairing="either", similarity="minilm", caption_tokens=4, eval_limit=1, device="cpu",
        out=tmp_path / "run", progress=False,
    )  # fmt: skip
    assert played.rounds[1].pairs > 0
    assert (tmp_path / "run" / "round-1" / "training" / "adapter" / "adapter_config.json").is_file()
    spec = json.loads((tmp_path / "run" / "spec.json").read_text())
    assert (spec["settings"]["guidance"], spec["settings"]["lora_rank"], spec["settings"]["lr"]) == (5.0, 16, 1e-5)
    assert "recipe" not in spec["settings"]
