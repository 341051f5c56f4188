"""Diffusers pipelines: diffusers' own images, seeds of a request alone, settings, adapters, refusals, a whole run."""

import functools
import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import peft
import pytest
import tiny_pipelines
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from hermes.harness.contracts.model import Drew
from hermes.harness.contracts.options import LoadOptions
from hermes.harness.models.pipeline.adapter import DiffusersModel
from hermes.harness.records.types import GenerationConfig, Request
from hermes.harness.run.runner import evaluate
from hermes.harness.run.settings import EvalSettings
from hermes.harness.system.errors import HermesError

PROMPTS = ("a red square", "two blue circles above a green triangle", "")
CLASSES = {"stable_diffusion": diffusers.StableDiffusionPipeline, "flux": diffusers.FluxPipeline}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("pipelines")
    return {name: getattr(tiny_pipelines, name)(root / name) for name in CLASSES}


@pytest.fixture(params=CLASSES)
def folder(request: pytest.FixtureRequest, folders: dict[str, Path]) -> Path:
    return folders[request.param]


@pytest.fixture
def copied(folders: dict[str, Path], tmp_path: Path) -> Path:
    """A pipeline that a test may break."""
    return Path(shutil.copytree(folders["stable_diffusion"], tmp_path / "broken"))


def load(folder: Path, **options: Any) -> DiffusersModel:
    return DiffusersModel.load(f"diffusers:{folder}", "cpu", LoadOptions(**options))


def request(prompt: str = PROMPTS[0], seed: int = 0, **config: Any) -> Request:
    settings = GenerationConfig(**{"steps": 3, "image_size": 16, **config})
    return Request(sample_id=prompt, index=seed, prompt=prompt, config=settings, seed=seed)


def asked(**config: Any) -> list[Request]:
    """Every prompt with three seeds, one of them as large as seeds get, the prompts mixed."""
    return [request(prompt, seed, **config) for seed in (1, 2, 2**63 - 1) for prompt in PROMPTS]


def values(picture: Image.Image) -> np.ndarray:
    assert picture.mode == "RGB"
    return np.asarray(picture).astype(int)


def same(one: list[Image.Image], other: list[Image.Image]) -> bool:
    return [picture.tobytes() for picture in one] == [picture.tobytes() for picture in other]


@functools.cache
def theirs(folder: Path, dtype: torch.dtype = torch.float32) -> Any:
    """diffusers' own pipeline."""
    off = {"safety_checker": None} if folder.name == "stable_diffusion" else {}
    pipe = CLASSES[folder.name].from_pretrained(folder, dtype=dtype, **off)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def drawn(pipe: Any, prompt: str, seed: int, **settings: Any) -> Image.Image:
    """What diffusers draws alone."""
    settings = {"num_inference_steps": 3, "height": 16, "width": 16} | settings
    return pipe(prompt, generator=torch.Generator().manual_seed(seed), **settings).images[0]


def test_it_draws_what_diffusers_draws(folder: Path) -> None:
    model, pipe = load(folder), theirs(folder)
    for ask in asked():
        assert same(model.generate([ask]), [drawn(pipe, ask.prompt, ask.seed)])
    pictures = model.generate(asked())
    assert len({picture.tobytes() for picture in pictures}) == len(pictures)


def test_a_prompt_that_no_tokenizer_reads_to_its_end_is_told(folders: dict[str, Path]) -> None:
    long = "a red square " * 8
    asks = [request(f"{long} {end}") for end in ("and a cat", "and a dog")]
    clip, t5 = (load(folders[name]).generate(asks) for name in CLASSES)
    assert all(isinstance(answer, Drew) and answer.prompt_cut for answer in clip)
    assert len({answer.image.tobytes() for answer in clip}) == 1
    assert not any(isinstance(answer, Drew) for answer in t5)  # CLIP's 77 tokens are not all that FLUX reads
    assert len({answer.tobytes() for answer in t5}) == 2


def test_its_settings_are_those_of_diffusers(folder: Path) -> None:
    model, pipe = load(folder), theirs(folder)
    plain = model.generate([request()])
    for ours, said in (
        ({"guidance_scale": 1.5}, {"guidance_scale": 1.5}),
        ({"guidance_scale": 0.0}, {"guidance_scale": 0.0}),
        ({"steps": 5}, {"num_inference_steps": 5}),
        ({"image_size": 24}, {"height": 24, "width": 24}),
    ):
        picture = model.generate([request(**ours)])
        assert same(picture, [drawn(pipe, PROMPTS[0], 0, **said)])
        assert not same(picture, plain)


def test_without_settings_it_draws_as_the_call_does_by_default(folders: dict[str, Path]) -> None:
    model, pipe = load(folders["stable_diffusion"]), theirs(folders["stable_diffusion"])
    bare = request().model_copy(update={"config": GenerationConfig()})
    expected = pipe(PROMPTS[0], generator=torch.Generator().manual_seed(0)).images
    assert same(model.generate([bare]), expected)
    resolved = bare.model_copy(update={"config": model.info.defaults})
    assert same(model.generate([resolved]), expected)


def apart(one: list[Image.Image], other: list[Image.Image]) -> int:
    """By how many levels of 255 the two differ at most."""
    return max(int(abs(values(a) - values(b)).max()) for a, b in zip(one, other, strict=True))


def test_companions_change_nothing(folder: Path) -> None:
    """What is left is the rounding of float32 sums over a larger batch, at most one level of 255."""
    model, requests = load(folder), asked()
    together = model.generate(requests)
    assert apart(together, [model.generate([ask])[0] for ask in requests]) <= 1
    assert apart(together, model.generate(requests[::-1])[::-1]) <= 1


def test_other_prompts_and_settings_in_a_batch_change_no_bit(folder: Path) -> None:
    model = load(folder)
    requests = [request(PROMPTS[0], 7), request(PROMPTS[1], 7), request(PROMPTS[0], 7, steps=2)]
    together = model.generate(requests)
    assert same(together, [model.generate([ask])[0] for ask in requests])
    assert len({picture.tobytes() for picture in together}) == 3


def test_torchs_own_generator_is_neither_asked_nor_moved(folders: dict[str, Path], tmp_path: Path) -> None:
    """Not even where the scheduler takes its noise from it."""
    noisy = Path(shutil.copytree(folders["flux"], tmp_path / "noisy"))
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler(stochastic_sampling=True)
    scheduler.save_pretrained(noisy / "scheduler")
    requests = [request(seed=seed) for seed in range(3)]
    for where in (folders["stable_diffusion"], noisy):
        model = load(where)
        torch.manual_seed(1)
        before = torch.get_rng_state()
        together = model.generate(requests)
        assert torch.equal(torch.get_rng_state(), before)
        torch.manual_seed(2)
        assert same(together, [model.generate([ask])[0] for ask in requests])
    assert not same(together, load(folders["flux"]).generate(requests))


def test_an_image_is_never_blacked_out(folders: dict[str, Path]) -> None:
    """The safety checker of this pipeline finds fault with every image."""
    pipe = diffusers.StableDiffusionPipeline.from_pretrained(folders["stable_diffusion"])
    assert values(drawn(pipe, PROMPTS[0], 1)).max() == 0
    assert values(load(folders["stable_diffusion"]).generate([request(seed=1)])[0]).std() > 20


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"temperature": 0.0}, "temperature: a diffusion pipeline has none"),
        ({"top_k": 5}, "top_k: a diffusion pipeline has none"),
        ({"guidance_scale": -1.0}, "guidance_scale must not be negative"),
        ({"steps": 0}, "steps and image_size must be 1 or more"),
        ({"steps": 1001}, "num_inference_steps"),
        ({"image_size": 0}, "steps and image_size must be 1 or more"),
        ({"image_size": 12}, "divisible by 8"),
    ],
    ids=str,
)
def test_settings_that_mean_nothing_stop_the_command(
    folders: dict[str, Path], config: dict[str, Any], says: str
) -> None:
    with pytest.raises(HermesError, match=f"^model diffusers: .*{says}") as error:
        load(folders["stable_diffusion"]).generate([request(**config)])
    assert "\n" not in str(error.value)


def test_a_size_that_is_not_drawn_stops_the_command(folders: dict[str, Path]) -> None:
    """FLUX cuts a size that it cannot draw, and draws another one."""
    with pytest.raises(HermesError, match="image_size: it draws 16 x 16 px when asked for 18"):
        load(folders["flux"]).generate([request(image_size=18)])


def test_the_info_is_that_of_the_pipeline(folders: dict[str, Path]) -> None:
    info = load(folders["stable_diffusion"]).info
    parts = [folders["stable_diffusion"] / name for name in ("unet", "vae", "text_encoder")]
    weights = [load_file(next(part.glob("*.safetensors"))) for part in parts]
    assert (info.name, info.revision, info.abilities) == ("stable_diffusion", None, ("generation",))
    assert info.parameters == sum(weight.numel() for state in weights for weight in state.values())
    assert (info.resolution, info.dtype) == (16, "float32")
    assert info.defaults == GenerationConfig(guidance_scale=7.5, steps=50)
    info = load(folders["flux"]).info
    assert (info.resolution, info.defaults) == (256, GenerationConfig(guidance_scale=3.5, steps=28))


def test_the_fingerprint_is_that_of_all_files_in_all_folders(folders: dict[str, Path], copied: Path) -> None:
    fingerprint = load(folders["stable_diffusion"]).info.fingerprint
    (copied / "README.md").write_text("more")
    (copied / ".cache").mkdir()
    (copied / ".cache" / "note.json").write_text("{}")
    assert load(copied).info.fingerprint == fingerprint
    rewrite(copied / "scheduler" / "scheduler_config.json", beta_end=0.02)
    scheduled = load(copied).info.fingerprint
    change(copied / "vae" / "diffusion_pytorch_model.safetensors", lambda weight: weight + 1)
    assert len({fingerprint, scheduled, load(copied).info.fingerprint}) == 3


@pytest.mark.parametrize("name", ["auto", "float32", "bfloat16"])
def test_it_computes_in_the_precision_asked_for(folder: Path, name: str) -> None:
    model = load(folder, dtype=name)
    found = "float32" if name == "auto" else name
    assert model.info.dtype == found
    assert same(model.generate([request()]), [drawn(theirs(folder, getattr(torch, found)), PROMPTS[0], 0)])
    assert model.info.fingerprint == load(folder).info.fingerprint


@pytest.mark.parametrize(("name", "expected"), [("stable_diffusion", "float16"), ("flux", "bfloat16")])
def test_on_a_gpu_a_transformer_computes_in_bfloat16_and_a_u_net_in_float16(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch, name: str, expected: str
) -> None:
    moved: list[str] = []
    monkeypatch.setattr(CLASSES[name], "to", lambda self, device: moved.append(device))
    assert DiffusersModel.load(f"diffusers:{folders[name]}", "cuda:0").info.dtype == expected
    assert moved == ["cuda:0"]


def test_a_device_map_places_it(folders: dict[str, Path], copied: Path) -> None:
    placed = load(folders["stable_diffusion"], device_map="cpu")
    assert same(placed.generate([request()]), load(folders["stable_diffusion"]).generate([request()]))
    with pytest.raises(HermesError, match=r"^model diffusers: .* cannot be loaded \(disk not supported"):
        load(folders["stable_diffusion"], device_map="disk")
    change(copied / TEXT, None)
    with pytest.raises(HermesError, match="of text_encoder lack 1 tensors"):
        load(copied, device_map="cpu")


@pytest.fixture(scope="module")
def adapters(folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """LoRA adapters in diffusers' layout, of the denoiser and a text encoder, with random weights that matter."""
    root = tmp_path_factory.mktemp("adapters")
    for name, denoiser in (("stable_diffusion", "unet"), ("flux", "transformer")):
        pipe = CLASSES[name].from_pretrained(folders[name])
        layers = {}
        with torch.random.fork_rng(), torch.no_grad():
            torch.manual_seed(3)
            for part, targets in ((denoiser, ["to_q", "to_v"]), ("text_encoder", ["q_proj", "v_proj"])):
                network = getattr(pipe, part)
                network.add_adapter(peft.LoraConfig(r=2, lora_alpha=2, target_modules=targets))
                for key, weight in network.named_parameters():
                    if "lora_" in key:
                        weight.normal_(0.0, 0.5)
                layers[f"{part}_lora_layers"] = peft.get_peft_model_state_dict(network)
        CLASSES[name].save_lora_weights(root / name, **layers)
    return {name: root / name for name in CLASSES}


class TestAdapter:
    def test_it_is_fused(self, folder: Path, adapters: dict[str, Path]) -> None:
        model, pipe = load(folder, adapter=str(adapters[folder.name])), CLASSES[folder.name].from_pretrained(folder)
        pipe.load_lora_weights(adapters[folder.name])
        if folder.name == "stable_diffusion":
            pipe.safety_checker = None
        found = model.generate([request(seed=5)])
        assert apart(found, [drawn(pipe, PROMPTS[0], 5)]) <= 1
        plain = load(folder)
        assert abs(values(found[0]) - values(plain.generate([request(seed=5)])[0])).mean() > 5
        assert model.info.parameters == plain.info.parameters

    def test_it_is_part_of_the_fingerprint(
        self, folders: dict[str, Path], adapters: dict[str, Path], tmp_path: Path
    ) -> None:
        where, other = folders["stable_diffusion"], Path(shutil.copytree(adapters["stable_diffusion"], tmp_path / "a"))
        one = load(where, adapter=str(adapters["stable_diffusion"])).info.fingerprint
        assert load(where, adapter=str(other)).info.fingerprint == one
        change(other / "pytorch_lora_weights.safetensors", lambda weight: weight * 2)
        assert len({one, load(where, adapter=str(other)).info.fingerprint, load(where).info.fingerprint}) == 3

    def test_one_that_does_not_fit_is_one_line(
        self, folders: dict[str, Path], adapters: dict[str, Path], tmp_path: Path
    ) -> None:
        def refused(folder: Path, says: str) -> None:
            with pytest.raises(HermesError, match=f"^model diffusers: {says}") as error:
                load(folders["stable_diffusion"], adapter=str(folder))
            assert "\n" not in str(error.value)

        refused(adapters["flux"], "the adapter .* does not fit .*updates have no place")
        refused(tmp_path, r"adapter: .* holds no pytorch_lora_weights\.safetensors")
        (tmp_path / "pytorch_lora_weights.safetensors").write_bytes(b"\x10")
        refused(tmp_path, "the adapter .* does not fit")
        save_file({"other": torch.ones(1)}, tmp_path / "pytorch_lora_weights.safetensors")
        refused(tmp_path, "the adapter .* does not fit .it holds no updates")
        weights = tmp_path / "pytorch_lora_weights.safetensors"
        stored = load_file(adapters["stable_diffusion"] / weights.name)
        for value, words in ((torch.nan, "holds numbers that are not finite"), (0.0, "changes no weight of the pipe")):
            save_file({name: torch.full_like(tensor, value) for name, tensor in stored.items()}, weights)
            refused(tmp_path, f"the adapter .* {words}")

    @pytest.mark.parametrize("kind", [peft.LoraConfig, peft.LoHaConfig])
    def test_one_in_pefts_layout_is_merged_into_the_denoiser(self, kind: Any, folder: Path, tmp_path: Path) -> None:
        pipe = CLASSES[folder.name].from_pretrained(folder)
        part = "unet" if folder.name == "stable_diffusion" else "transformer"
        with torch.random.fork_rng(), torch.no_grad():
            torch.manual_seed(3)
            made: Any = peft.get_peft_model(getattr(pipe, part), kind(r=2, target_modules=["to_q", "to_v"]))
            for weight in made.parameters():
                if weight.requires_grad:
                    weight.normal_(0.0, 0.5)
        made.save_pretrained(tmp_path)
        model = load(folder, adapter=str(tmp_path))
        merged = getattr(model._pipe, part).state_dict()
        for name, tensor in made.merge_and_unload().state_dict().items():
            torch.testing.assert_close(merged[name], tensor, atol=1e-5, rtol=1e-5)
        assert model.info.fingerprint != load(folder).info.fingerprint


def rewrite(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def change(path: Path, how: Callable[[torch.Tensor], torch.Tensor] | None) -> None:
    """The first tensor of a file is changed, or gone."""
    weights = load_file(path)
    name = min(weights)
    weight = weights.pop(name)
    if how:
        weights[name] = how(weight)
    save_file(weights, path, metadata={"format": "pt"})


def remove(*names: str) -> Callable[[Path], None]:
    return lambda folder: [(folder / name).unlink() for name in names] and None


def index(**changes: Any) -> Callable[[Path], None]:
    return lambda folder: rewrite(folder / "model_index.json", **changes)


UNET, TEXT = "unet/diffusion_pytorch_model.safetensors", "text_encoder/model.safetensors"
BROKEN: dict[str, tuple[Callable[[Path], Any], str]] = {
    "torn weights": (lambda folder: (folder / UNET).write_bytes(b"\x10"), "cannot be loaded"),
    "no weights": (remove(UNET), "cannot be loaded"),
    "a weight of the denoiser is missing": (lambda folder: change(folder / UNET, None), "of unet lack 1 tensors"),
    "a weight of the text encoder is missing": (
        lambda folder: change(folder / TEXT, None),
        "of text_encoder lack 1 tensors",
    ),
    "a weight has another shape": (
        lambda folder: change(folder / UNET, lambda weight: weight[:-1]),
        "cannot be loaded",
    ),
    "torn settings": (lambda folder: (folder / "unet" / "config.json").write_text("{"), "cannot be loaded"),
    "no scheduler": (remove("scheduler/scheduler_config.json"), "cannot be loaded"),
    "no vocabulary": (remove("tokenizer/tokenizer.json"), "tokenizer lacks merges.txt"),
    "torn index": (lambda folder: (folder / "model_index.json").write_text("{"), "cannot be read"),
    "no index": (remove("model_index.json"), r"holds no model_index\.json"),
    "an index of nothing": (lambda folder: (folder / "model_index.json").write_text("[]"), "names no pipeline class"),
    "a part is not named": (index(unet=[None, None]), "cannot be loaded"),
    "an unknown class": (index(_class_name="NobodysPipeline"), "'NobodysPipeline' is not a pipeline of diffusers"),
    "no pipeline": (index(_class_name="DDIMScheduler"), "'DDIMScheduler' is not a pipeline of diffusers"),
    "images from images": (index(_class_name="StableDiffusionImg2ImgPipeline"), "not make images from a prompt alone"),
    "holes in images": (index(_class_name="StableDiffusionInpaintPipeline"), "not make images from a prompt alone"),
    "images from edges": (index(_class_name="StableDiffusionControlNetPipeline"), "images from a prompt alone"),
    "images from classes": (index(_class_name="DiTPipeline"), "not make images from a prompt alone"),
    "images from embeddings": (index(_class_name="KandinskyV22Pipeline"), "not make images from a prompt alone"),
    "films": (index(_class_name="WanPipeline"), "not make images from a prompt alone"),
    "several checkpoints": (index(_class_name="KandinskyV22CombinedPipeline"), "made of several checkpoints"),
}


@pytest.mark.parametrize(("spoil", "says"), BROKEN.values(), ids=BROKEN)
def test_a_broken_or_foreign_pipeline_is_one_line(copied: Path, spoil: Callable[[Path], Any], says: str) -> None:
    spoil(copied)
    with pytest.raises(HermesError, match=f"^model diffusers: .*{says}") as error:
        load(copied)
    assert "\n" not in str(error.value)


CODE: dict[str, tuple[str, dict[str, Any]]] = {
    "a pipeline of its own": ("pipeline.py", {"_class_name": ["pipeline", "StableDiffusionPipeline"]}),
    "a part of its own": ("unet/theirs.py", {"unet": ["theirs", "UNet2DConditionModel"]}),
    "a part of a package": ("unet/theirs.py", {"unet": ["shutil", "UNet2DConditionModel"]}),
    "code under a known name": ("scheduler/diffusers.py", {}),
}


@pytest.mark.parametrize(("file", "changes"), CODE.values(), ids=CODE)
def test_code_that_a_pipeline_brings_is_never_run(copied: Path, tmp_path: Path, file: str, changes: Any) -> None:
    run = tmp_path / "run"
    names = "StableDiffusionPipeline, UNet2DConditionModel, DDIMScheduler"
    (copied / file).write_text(f"open({str(run)!r}, 'w')\nfrom diffusers import {names}\n")
    rewrite(copied / "model_index.json", **changes)
    with pytest.raises(HermesError, match=r"^model diffusers: .*its own code, which is never run") as error:
        load(copied)
    assert "\n" not in str(error.value)
    assert not run.exists()


class Code:
    """A pickle that opens a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (open, (str(self.path), "w"))


@pytest.mark.parametrize("part", ["unet", "text_encoder", "vae"])
def test_parts_are_read_as_trainings_leave_them(part: str, folders: dict[str, Path], copied: Path) -> None:
    (safe,) = (copied / part).glob("*.safetensors")
    weights, pickled = load_file(safe), copied / part / "pytorch_model.bin"
    safe.unlink()
    torch.save({"state_dict": {f"module.{name}": weight for name, weight in weights.items()}}, pickled)
    expected = load(folders["stable_diffusion"])
    assert same(load(copied).generate([request()]), expected.generate([request()]))
    with pytest.raises(HermesError, match=rf"{part} bears a wrapper's names; leave --device-map out"):
        load(copied, device_map="cpu")
    torch.save({f"module.{name}": weight * torch.inf for name, weight in weights.items()}, pickled)
    with pytest.raises(HermesError, match=rf"the weights of {part}: .* holds numbers that are not finite"):
        load(copied)


def test_pickles_are_read_only_where_there_is_nothing_else_and_only_as_tensors(
    folders: dict[str, Path], copied: Path, tmp_path: Path
) -> None:
    expected = load(folders["stable_diffusion"]).generate([request()])
    pickles = {UNET: "unet/diffusion_pytorch_model.bin", TEXT: "text_encoder/pytorch_model.bin"}
    for safe, unsafe in pickles.items():
        (copied / unsafe).write_bytes(pickle.dumps(Code(tmp_path / "run")))
        assert same(load(copied).generate([request()]), expected)
        weights = load_file(copied / safe)
        (copied / safe).unlink()
        with pytest.raises(HermesError, match=r"^model diffusers: .* cannot be loaded"):
            load(copied)
        torch.save(weights, copied / unsafe)
        assert same(load(copied).generate([request()]), expected)
    assert not (tmp_path / "run").exists()


class TestMemory:
    """A GPU that holds only so many images at once."""

    @pytest.fixture
    def sizes(self, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], list[int]]:
        """`sizes(most)`: calls for more than ``most`` images do not fit; returns the sizes that are tried."""
        call = diffusers.StableDiffusionPipeline.__call__

        def limit(most: int) -> list[int]:
            tried: list[int] = []

            @functools.wraps(call)
            def limited(self: Any, **settings: Any) -> Any:
                tried.append(len(settings["prompt"]))
                if tried[-1] > most:
                    raise torch.OutOfMemoryError("CUDA out of memory")
                return call(self, **settings)

            monkeypatch.setattr(diffusers.StableDiffusionPipeline, "__call__", limited)
            return tried

        return limit

    def test_calls_are_halved_for_good(
        self, folders: dict[str, Path], sizes: Callable[[int], list[int]], capsys: pytest.CaptureFixture[str]
    ) -> None:
        model, requests = load(folders["stable_diffusion"]), [request(seed=seed) for seed in range(11)]
        expected = model.generate(requests)
        tried = sizes(3)
        assert apart(model.generate(requests), expected) <= 1
        assert tried == [8, 4, 2, 2, 2, 2, 2, 1]
        assert model.fitting.size == 2
        assert "out of memory with 8 at once; going on with 2 at once" in capsys.readouterr().err

    def test_one_image_that_does_not_fit_is_out_of_memory(
        self, folders: dict[str, Path], sizes: Callable[[int], list[int]]
    ) -> None:
        sizes(0)
        with pytest.raises(torch.OutOfMemoryError):
            load(folders["stable_diffusion"]).generate([request(), request()])


@pytest.mark.parametrize("reference", ["diffusers", "diffusers:", "diffusers:/no/such/folder", "diffusers:org/model@"])
def test_what_names_no_pipeline_is_one_line(reference: str) -> None:
    with pytest.raises(HermesError, match=r"^model diffusers: "):
        DiffusersModel.load(reference, "cpu")


def test_a_folder_is_enough(folders: dict[str, Path]) -> None:
    """Without the model's name before it."""
    model = DiffusersModel.load(str(folders["stable_diffusion"]), "cpu")
    assert model.info == load(folders["stable_diffusion"]).info
    (source,) = DiffusersModel.sources("diffusers:org/model@v1")
    assert source[:3] == ("org/model", "v1", False)


def test_a_pipeline_of_the_hub_is_known_by_its_commit(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hub that cannot be reached, with one pipeline in the cache as a download leaves it."""
    commit = "0123456789abcdef0123456789abcdef01234567"
    model = tmp_path / "models--org--tiny"
    shutil.copytree(folders["stable_diffusion"], model / "snapshots" / commit)
    (model / "refs").mkdir()
    (model / "refs" / "v1").write_text(commit)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    found = DiffusersModel.load("diffusers:org/tiny@v1", "cpu")
    assert (found.info.name, found.info.revision, found.info.fingerprint) == ("org/tiny", commit, commit[:12])
    assert same(found.generate([request()]), load(folders["stable_diffusion"]).generate([request()]))
    with pytest.raises(HermesError, match=r"^model diffusers: org/tiny cannot be loaded"):
        DiffusersModel.load("diffusers:org/tiny@v2", "cpu")


def test_a_whole_run_is_the_same_in_other_batches(folders: dict[str, Path], tmp_path: Path) -> None:
    model = load(folders["stable_diffusion"])
    written = []
    for size in (1, 64):
        settings = EvalSettings(
            tasks=("geneval@steps=4", "homologous-g@steps=4"),
            data="shapes",
            judge="oracle",
            limit=1,
            device="cpu",
            batch_size=size,
            out=tmp_path / str(size),
        )
        content = evaluate(settings, model=model)
        assert content["world"] == "shapes"
        assert [result.counts["error"] for result in content["results"].values()] == [0, 0]
        written.append((tmp_path / str(size) / "results.json").read_bytes())
    assert written[0] == written[1]
    spec = json.loads((tmp_path / "64" / "spec.json").read_text())
    config = spec["tasks"]["geneval@steps=4"]["config"]
    assert (config["guidance_scale"], config["steps"], config["num_images"]) == (7.5, 4, 4)
    assert len(list((tmp_path / "64").glob("answers/*/*/media/*.png"))) > 4


def test_it_is_asked_no_questions(folders: dict[str, Path]) -> None:
    model = load(folders["stable_diffusion"])
    with pytest.raises(HermesError, match="task 'pope' needs understanding"):
        evaluate(EvalSettings(tasks=("pope",), data="shapes", device="cpu"), model=model)
    with pytest.raises(HermesError, match="answers no questions"):
        model.understand([request()])


def test_to_list_it_loads_neither_torch_nor_diffusers(python: Callable[..., Any]) -> None:
    done = python(
        "-c",
        "import sys; sys.modules['diffusers'] = None\n"
        "from hermes.harness.system import registry\n"
        "from hermes.harness.system.errors import MissingExtra\n"
        "model = registry.load_class('models', 'diffusers', to_use=False)\n"
        "try: registry.load_class('models', 'diffusers')\n"
        "except MissingExtra: print('False', model.extra, 'torch' in sys.modules)",
    )
    assert done.stdout.strip() == "False diffusers False", done.stderr
