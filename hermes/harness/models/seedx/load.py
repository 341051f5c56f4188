"""Reading and writing SEED-X's parts under their published file and key names, whole or not at all."""

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isqrt
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from hermes.harness.contracts.options import LoadOptions
from hermes.harness.models.adapters import merge_adapter
from hermes.harness.models.finite import refuse_not_finite
from hermes.harness.models.precision import torch_dtype
from hermes.harness.models.pretrained import loading, read_config, read_network, refuse_unfit
from hermes.harness.models.seedx import finetuned
from hermes.harness.models.seedx.conditions import ConditionResampler
from hermes.harness.models.seedx.config import Settings, read_settings
from hermes.harness.models.seedx.drawing import Artist, Stage
from hermes.harness.models.seedx.network import Agent
from hermes.harness.models.seedx.places import (
    AGENT,
    LLM,
    NAME,
    STAGES,
    VISION,
    Places,
    fetched_home,
    places_of,
    style_of,
)
from hermes.harness.models.seedx.tokenizer import Tokenizer, read_tokenizer
from hermes.harness.models.seedx.vit import VisionEncoder
from hermes.harness.models.source import Source
from hermes.harness.models.tensors import misfit, read_tensors
from hermes.harness.models.trained import is_weights
from hermes.harness.system.errors import HermesError

WHO = f"model {NAME}"
VISUAL = "transformer.visual."
UNET, RESAMPLER = "unet.", "resampler."
WEIGHTS = "model.safetensors"

Part = TypeVar("Part", bound=nn.Module)


@dataclass(frozen=True)
class Loaded:
    """All parts. ``artist`` draws; ``editor`` changes a picture, None but for the variant that was trained to."""

    settings: Settings
    words: Tokenizer
    llm: Any
    agent: Agent
    vision: VisionEncoder
    artist: Artist
    editor: Artist | None
    places: Places
    commit: str | None


def load_checkpoint(source: Source, device: str, options: LoadOptions) -> Loaded:
    """The checkpoint of a folder or hub id. Raises HermesError for what is missing, torn or of another kind."""
    home = fetched_home(source)
    settings = read_settings(home, style_of(source))
    places = places_of(home, settings.style)
    dtype = torch_dtype(options.dtype, device)
    state = _tensors(places.agent)
    trained = finetuned.take(state)
    agent = _built(lambda: Agent(state, settings.input_heads, settings.output_heads), state, places.agent)
    words = read_tokenizer(places.words, len(agent.input_resampler.query), WHO)
    state = _visual(_tensors(places.vision))
    vision = _built(lambda: VisionEncoder(state, settings.vision_heads), state, places.vision)
    llm = _llm(places.llm, device, options)
    if trained:
        finetuned.overlay(llm, trained, f"{WHO}: {places.agent}")
        refuse_not_finite(llm.state_dict(), f"{WHO}: {places.agent}")
    _refuse_strangers(settings, words, llm, agent, vision, places)
    wide = len(agent.output_resampler.query[0])
    if options.adapter:
        llm = merge_adapter(llm, options.adapter, WHO)
    if not options.device_map:
        llm = llm.to(device)
    drawn = torch.float16 if options.dtype == "auto" and device.startswith("cuda") else dtype
    first = _artist(places, places.first, settings, wide, device, drawn)
    second = None
    if places.second and settings.style == "edit":
        second = _artist(places, places.second, settings, wide, device, drawn, first)
    commit = None if source.local else (places.home.parent if source.only else places.home).name
    return Loaded(
        settings=settings,
        words=words,
        llm=llm.eval(),
        agent=_ready(agent, device, dtype, places.agent),
        vision=_ready(vision, device, dtype, places.vision).requires_grad_(False),
        artist=first,
        editor=second,
        places=places,
        commit=commit,
    )


def write_checkpoint(loaded: Loaded, folder: Path) -> None:
    """The published layout: llm/ and agent/ as they are now; what is never trained is copied beside them."""
    from safetensors.torch import save_file

    places = loaded.places
    loaded.llm.save_pretrained(folder / LLM)
    (folder / AGENT).mkdir(exist_ok=True)
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in loaded.agent.state_dict().items()}
    save_file(state, folder / AGENT / WEIGHTS, metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(loaded.settings.as_json(), indent=2) + "\n", encoding="utf-8")
    (folder / "tokenizer").mkdir(exist_ok=True)
    loaded.words.pieces.save(folder / "tokenizer")
    if not places.vision.name.startswith(VISION[:2]):
        state = {name: tensor.cpu().contiguous() for name, tensor in loaded.vision.state_dict().items()}
        save_file(state, folder / "qwen_vit_G.safetensors", metadata={"format": "pt"})
    else:
        _copy(places.vision, folder / places.vision.name)
    stages = [(STAGES[1], places.first, loaded.artist)]
    stages += [(STAGES[2], places.second, loaded.editor)] if places.second and loaded.editor else []
    for names, place, _ in stages:
        _copy(place, folder / (names[0] if place.is_dir() else place.name))
    inner = folder / "sdxl"
    loaded.artist.vae.save_pretrained(inner / "vae")
    loaded.artist.scheduler.save_pretrained(inner / "scheduler")
    if any(artist.stage.based for *_, artist in stages):
        _copy(places.sdxl / "unet", inner / "unet")
    else:
        _copy(places.sdxl / "unet" / "config.json", inner / "unet" / "config.json")


def _llm(folder: Path, device: str, options: LoadOptions) -> Any:
    import transformers

    with loading(f"{WHO}: {folder}"):
        read_config(str(folder), WHO, {}, "llama")
        return read_network(transformers.LlamaForCausalLM, str(folder), device, options, {}, WHO)


def _tensors(path: Path) -> dict[str, Tensor]:
    try:
        return read_tensors(path).tensors
    except HermesError as error:
        raise HermesError(f"{WHO}: {error}") from None


def _visual(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The vision encoder's tensors, out of a whole Qwen-VL's where they are such."""
    own = {name.removeprefix(VISUAL): tensor for name, tensor in state.items() if name.startswith(VISUAL)}
    return own or state


def _built(make: Callable[[], Part], state: Mapping[str, Tensor], path: Path) -> Part:
    """The module with these tensors. Raises HermesError where they are not just its own."""
    try:
        with torch.device("meta"):
            module = make()
        odd = misfit(module.state_dict(), state)
    except KeyError as error:
        odd = f"lacks {error.args[0]}"
    except (TypeError, ValueError, IndexError, RuntimeError) as error:
        odd = f"holds tensors of other shapes ({error})"
    if odd:
        raise HermesError(f"{WHO}: {path} {odd}; download it completely, or give the part of SEED-X that it stands for")
    module.load_state_dict(dict(state), assign=True)
    return module


def _ready(module: Part, device: str, dtype: torch.dtype | None, path: Path) -> Part:
    module = (module.to(device) if dtype is None else module.to(device, dtype)).eval()
    refuse_not_finite(module.state_dict(), f"{WHO}: {path}")
    return module


def _refuse_strangers(
    settings: Settings, words: Tokenizer, llm: Any, agent: Agent, vision: VisionEncoder, places: Places
) -> None:
    """Raise HermesError where parts are not of one model, or the settings not theirs."""
    width, rows = llm.config.hidden_size, len(llm.get_input_embeddings().weight)
    reads, writes = agent.input_resampler, agent.output_resampler
    seen, marks = len(vision.attn_pool.query), len(vision.positional_embedding)
    wanted = {
        f"{places.words} has {len(words):,} tokens, the LLM {rows:,}": len(words) <= rows,
        f"{places.agent} is of an LLM of another width than {width}": reads.query.shape[1] == width
        and writes.kv_proj.weight.shape[1] == width,
        f"{places.agent} takes other features than {places.vision} gives": reads.kv_proj.weight.shape[1]
        == len(vision.proj),
        f"{places.agent} has other numbers of queries on both sides": len(reads.query) == len(writes.query),
        f"{places.vision} gives {seen} features, which {len(reads.query)} queries do not divide": seen
        % len(reads.query)
        == 0,
        f"{places.agent} has no four marks of {width} numbers for the places of tiles": agent.patch_pos_embed.shape
        == (4, width),
        f"{places.vision} has {marks} positions, which are no square": isqrt(marks) ** 2 == marks,
        f"the tiles of {settings.side} px are not cut into whole patches": settings.side % vision.conv1.kernel_size[0]
        == 0,
    }
    for module, heads in (
        (reads.query.shape[1], settings.input_heads),
        (writes.query.shape[1], settings.output_heads),
        (vision.conv1.out_channels, settings.vision_heads),
    ):
        wanted[f"config.json: {heads} heads do not divide a width of {module}"] = module % heads == 0
    if wrong := [said for said, right in wanted.items() if not right]:
        raise HermesError(f"{WHO}: {wrong[0]}; give the parts of one checkpoint")


def _artist(
    places: Places,
    path: Path,
    settings: Settings,
    wide: int,
    device: str,
    dtype: torch.dtype,
    beside: Artist | None = None,
) -> Artist:
    """A stage of the detokeniser, which takes features ``wide`` numbers wide.

    Decoder and noise schedule are those of the one ``beside`` it, if there is one.
    """
    library = _diffusers()
    state = _tensors(path)
    parts = {
        start: {name.removeprefix(start): tensor for name, tensor in state.items() if name.startswith(start)}
        for start in (UNET, RESAMPLER)
    }
    own = parts[RESAMPLER]
    resampler = _built(lambda: ConditionResampler(own, settings.condition_heads), own, path)
    for width in resampler.split_widths:
        if width % settings.condition_heads:
            raise HermesError(f"{WHO}: config.json: {settings.condition_heads} heads do not divide a width of {width}")
    with loading(f"{WHO}: {places.sdxl}"):
        unet, based = _unet(places.sdxl / "unet", parts[UNET], path, dtype)
        vae, scheduler = (beside.vae, beside.scheduler) if beside else (None, None)
        if vae is None:
            home = places.sdxl / "vae"
            vae, told = library.AutoencoderKL.from_pretrained(
                home, dtype=torch.float32, use_safetensors=any(home.glob("*.safetensors")), output_loading_info=True
            )
            refuse_unfit(vae, told, f"{WHO}: {home}")
            vae = vae.to(device).eval().requires_grad_(False)
            scheduler = library.EulerDiscreteScheduler.from_pretrained(places.sdxl / "scheduler")
    words = len(resampler.unet_proj_1.bias) + len(resampler.unet_proj_2.bias)
    whole = len(resampler.unet_attnpool.c_proj.bias) + 6 * unet.config.addition_time_embed_dim
    takes = unet.config.cross_attention_dim, unet.config.projection_class_embeddings_input_dim
    if (words, whole) != takes:
        raise HermesError(f"{WHO}: {path} conditions another denoiser than {places.sdxl} is; give SDXL's base")
    if resampler.proj_in.in_features != wide:
        raise HermesError(f"{WHO}: {path} takes other features than the LLM's are; give the parts of one checkpoint")
    stage = Stage(_ready(resampler, device, dtype, path), _ready(unet, device, None, path), based)
    for one in (stage.resampler, stage.unet):
        one.requires_grad_(False)
    return Artist(stage, vae, scheduler)


def _unet(home: Path, own: dict[str, Tensor], path: Path, dtype: torch.dtype) -> tuple[Any, bool]:
    """SDXL's denoiser with the detokeniser's tensors, and whether some are those of the base, over which they lie."""
    kind = _diffusers().UNet2DConditionModel
    settings = dict(kind.load_config(home))
    if "conv_in.weight" in own:
        settings["in_channels"] = own["conv_in.weight"].shape[1]
    with torch.device("meta"):
        unet = kind.from_config(settings)
    lacking = set(unet.state_dict()) - set(own)
    based = bool(lacking) and any(map(is_weights, home.iterdir()))
    if based:
        own = read_tensors(home).tensors | own
    if odd := misfit(unet.state_dict(), own):
        raise HermesError(f"{WHO}: the denoiser in {path} {odd}; download it completely")
    unet.load_state_dict({name: tensor.to(dtype) for name, tensor in own.items()}, assign=True)
    return unet, based


def _diffusers() -> Any:
    import diffusers

    return diffusers


def _copy(place: Path, target: Path) -> None:
    if place.resolve() == target.resolve():
        return
    if place.is_dir():
        shutil.copytree(place, target, dirs_exist_ok=True)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(place, target)
