"""Pictures under diffusers' pipelines: likelihoods by diffusers' own parts, gradients, training, layouts, refusals."""

import json
import math
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import tiny_pipelines
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from hermes.align.losses.likelihoods import TrainPair
from hermes.align.settings import TrainSettings
from hermes.align.training.trainer import train
from hermes.harness.contracts.model import LikelihoodItem
from hermes.harness.contracts.options import LoadOptions
from hermes.harness.models.noising import levels_of, noise_of
from hermes.harness.models.pipeline.adapter import DiffusersModel
from hermes.harness.records.images import ImageHandle
from hermes.harness.system.errors import HermesError

KINDS = ("stable_diffusion", "velocity", "stable_diffusion_xl", "stable_diffusion_3")
PROMPTS = ("a red square", "", "two blue circles")
SETTINGS = TrainSettings(lr=1e-3, epochs=2, batch_size=8, replay=0.5, replay_batch=2, bf16=False, masks=2)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("pipelines")
    made = {name: getattr(tiny_pipelines, name)(root / name) for name in KINDS if name != "velocity"}
    made["velocity"] = Path(shutil.copytree(made["stable_diffusion"], root / "velocity"))
    scheduled(made["velocity"], prediction_type="v_prediction")
    return made


def scheduled(folder: Path, **changes: Any) -> None:
    """Other settings for a pipeline's scheduler."""
    path = folder / "scheduler" / "scheduler_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def load(folder: Path, **options: Any) -> DiffusersModel:
    return DiffusersModel.load(f"diffusers:{folder}", "cpu", LoadOptions(**options))


def pictures(count: int, size: tuple[int, int] = (16, 16)) -> list[ImageHandle]:
    rng = np.random.default_rng(0)
    return [ImageHandle(Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8))) for _ in range(count)]


def items() -> list[LikelihoodItem]:
    shown = zip(PROMPTS, pictures(len(PROMPTS)), strict=True)
    return [LikelihoodItem("image", prompt, image, seed=seed) for seed, (prompt, image) in enumerate(shown)]


def scored(model: DiffusersModel, asked: Sequence[LikelihoodItem]) -> tuple[Tensor, Tensor]:
    found: tuple[Tensor, Tensor] = model.module(model.collate(model.prepare(asked)))
    return found


@torch.no_grad()
def by_hand(folder: Path, kind: str, item: LikelihoodItem, draws: int) -> float:
    """-1/2 of the summed squared error of diffusers' own denoiser, noised by diffusers' own training scheduler."""
    off = {} if kind in ("stable_diffusion_xl", "stable_diffusion_3") else {"safety_checker": None}
    pipe = diffusers.DiffusionPipeline.from_pretrained(folder, **off)
    pixels = torch.from_numpy(np.array(item.image.open())).float().permute(2, 0, 1)[None] / 127.5 - 1
    clean = (pipe.vae.encode(pixels).latent_dist.mean - (pipe.vae.config.shift_factor or 0)) * 0.5
    told = {"device": "cpu", "num_images_per_prompt": 1, "do_classifier_free_guidance": False}
    more: dict[str, Any] = {}
    if kind == "stable_diffusion_xl":
        words, _, pooled, _ = pipe.encode_prompt(item.prompt, **told)
        more["added_cond_kwargs"] = {"text_embeds": pooled, "time_ids": torch.tensor([[16.0, 16, 0, 0, 16, 16]])}
    elif kind == "stable_diffusion_3":
        words, _, pooled, _ = pipe.encode_prompt(item.prompt, item.prompt, item.prompt, **told)
        more["pooled_projections"] = pooled
    else:
        words, _ = pipe.encode_prompt(item.prompt, **told)
    found = []
    for level, noise in zip(levels_of(item.seed, draws), noise_of(item.seed, draws, clean.shape[1:]), strict=True):
        noise = noise[None]
        if kind == "stable_diffusion_3":
            normal = torch.distributions.Normal(0.0, 1.0).icdf(level)
            time = torch.sigmoid(normal)
            time = (3 * time / (1 + 2 * time)).float()
            noisy, target = (1 - time) * clean + time * noise, noise - clean
            network, step = pipe.transformer, 1000 * time[None]
        else:
            trained = diffusers.DDPMScheduler.from_config(pipe.scheduler.config)
            step = (level * 1000).long()[None]
            noisy = trained.add_noise(clean, noise, step)
            target = trained.get_velocity(clean, noise, step) if kind == "velocity" else noise
            network = pipe.unet
        predicted = network(noisy, timestep=step, encoder_hidden_states=words, **more).sample
        found.append(-0.5 * float((predicted - target).square().sum()))
    return sum(found) / draws


@pytest.mark.parametrize("kind", KINDS)
def test_the_likelihood_is_the_error_of_the_prediction(kind: str, folders: dict[str, Path]) -> None:
    model, asked = load(folders[kind]), items()
    log_probs, counts = scored(model, asked)
    assert counts.tolist() == [4 * 8 * 8] * 3
    assert log_probs.dtype == torch.float32
    expected = [by_hand(folders[kind], kind, item, draws=4) for item in asked]
    assert log_probs.tolist() == pytest.approx(expected, rel=2e-5)
    alone = [scored(model, [item])[0].item() for item in asked]
    assert log_probs.tolist() == pytest.approx(alone, rel=1e-5)
    log_probs.sum().backward()
    assert all(weight.grad is not None for weight in model.network.parameters())


def test_its_gradient_is_the_slope(folders: dict[str, Path]) -> None:
    model = load(folders["velocity"])
    model._pipe.to(torch.float64)
    weights = list(model.network.parameters())
    batch = model.collate(model.prepare(items()))
    model.module(batch)[0].sum().backward()
    slopes = [weight.grad.clone() for weight in weights if weight.grad is not None]
    norm = float(torch.stack([slope.square().sum() for slope in slopes]).sum().sqrt())
    values = []
    with torch.no_grad():
        for step in (1e-5, -2e-5):
            for weight, slope in zip(weights, slopes, strict=True):
                weight += step / norm * slope
            values.append(float(model.module(batch)[0].sum()))
    assert (values[0] - values[1]) / 2e-5 == pytest.approx(norm, rel=1e-5)


def test_seeds_draw_the_noise_and_pictures_of_other_shapes_are_cut(folders: dict[str, Path]) -> None:
    model = load(folders["stable_diffusion"])
    (ready,) = model.prepare(items()[:1])
    other = model.with_seed(ready, 7)
    seeded = (ready, other, model.with_seed(other, ready.seed))
    found = [model.module(model.collate([one]))[0].item() for one in seeded]
    assert found[0] == found[2] != found[1]
    (wide,) = pictures(1, (40, 20))
    assert model.prepare([LikelihoodItem("image", "a", wide)])[0].latents.shape == (4, 8, 8)
    with pytest.raises(HermesError, match="writes no texts"):
        model.prepare([LikelihoodItem("text", "a", wide, "b")])


def pairs(count: int = 8) -> list[TrainPair]:
    shown = pictures(2 * count)
    return [
        TrainPair(
            f"item-{k}",
            None,
            (
                LikelihoodItem("image", f"draw {k % 3}", shown[2 * k]),
                LikelihoodItem("image", f"draw {k % 3}", shown[2 * k + 1]),
            ),
        )
        for k in range(count)
    ]


def states(model: DiffusersModel) -> dict[str, Tensor]:
    """The weights of all networks of a pipeline."""
    networks = {name: part for name, part in model._pipe.components.items() if hasattr(part, "state_dict")}
    return {f"{name}.{key}": value for name, part in networks.items() for key, value in part.state_dict().items()}


def trained(folder: Path, out: Path, **changes: Any) -> DiffusersModel:
    model = load(folder)
    report = train(model, pairs(), items(), SETTINGS.model_copy(update=changes), out)
    assert report.preference is not None
    assert report.preference < math.log(2)
    assert report.mask_noise is not None
    assert report.mask_noise > 0
    return model


def test_micro_batches_and_recomputed_activations_change_nothing(folders: dict[str, Path], tmp_path: Path) -> None:
    whole = trained(folders["stable_diffusion"], tmp_path / "whole")
    single = trained(folders["stable_diffusion"], tmp_path / "single", micro_batch=1, checkpointing=True)
    start = load(folders["stable_diffusion"])
    for name, value in whole.network.state_dict().items():
        torch.testing.assert_close(single.network.state_dict()[name], value, rtol=1e-4, atol=1e-5)
    before, after = (states(model) for model in (start, whole))
    assert {name.partition(".")[0] for name in before if not torch.equal(before[name], after[name])} == {"unet"}
    assert whole.masks == 4


def test_an_adapter_is_trained_stored_and_read_as_any_other(folders: dict[str, Path], tmp_path: Path) -> None:
    kind = "stable_diffusion_3"
    model = load(folders[kind])
    train(model, pairs(2), [], SETTINGS.model_copy(update={"lora_rank": 2, "replay": 0.0, "lr": 1e-2}), tmp_path)
    model.save(tmp_path / "saved")
    asked = items()
    merged, saved = scored(model, asked)[0], scored(load(tmp_path / "saved"), asked)[0]
    torch.testing.assert_close(saved, merged)
    fused = scored(load(folders[kind], adapter=str(tmp_path / "adapter")), asked)[0]
    torch.testing.assert_close(fused, merged, rtol=1e-4, atol=1e-3)
    assert not torch.allclose(scored(load(folders[kind]), asked)[0], merged, rtol=1e-4)
    held, published = (
        {path.relative_to(home).as_posix() for path in home.rglob("*.safetensors")}
        for home in (tmp_path / "saved", folders[kind])
    )
    assert held == published
    first = next(path for path in held if path.startswith("transformer"))
    assert load_file(tmp_path / "saved" / first).keys() == load_file(folders[kind] / first).keys()


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"_class_name": "FluxPipeline"}, r"a FluxPipeline cannot be trained by preferences; those that can are"),
        ({"prediction_type": "sample"}, r"with DDIMScheduler and the prediction 'sample' it cannot be trained"),
        ({"scheduler": ["diffusers", "EDMEulerScheduler"]}, r"with EDMEulerScheduler and the prediction 'epsilon'"),
        ({"time_cond_proj_dim": 8}, r"its guidance is distilled into its denoiser"),
    ],
)
def test_what_cannot_be_trained_is_refused_by_its_settings(
    changes: dict[str, Any], why: str, folders: dict[str, Path], tmp_path: Path
) -> None:
    """Weights are not read: there are none."""
    source, places = folders["stable_diffusion"], {"prediction_type": "scheduler/scheduler_config.json"}
    places["time_cond_proj_dim"] = "unet/config.json"
    for path in source.rglob("*.json"):
        (tmp_path / path.relative_to(source)).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, tmp_path / path.relative_to(source))
    DiffusersModel.refuse_untrainable(f"diffusers:{tmp_path}")
    for key, value in changes.items():
        place = tmp_path / places.get(key, "model_index.json")
        place.write_text(json.dumps(json.loads(place.read_text()) | {key: value}))
    with pytest.raises(HermesError, match=why) as refused:
        DiffusersModel.refuse_untrainable(f"diffusers:{tmp_path}")
    assert "\n" not in str(refused.value)
