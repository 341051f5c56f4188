"""Reading and writing Show-o checkpoints under their published file and key names, and finding what belongs to them."""

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hermes.harness.models.showo.clip import projector_state
from hermes.harness.models.showo.phi import Phi, Shape
from hermes.harness.models.source import Source, folder_of, is_hub_id
from hermes.harness.models.tensors import before_anchor, misfit, read_tensors
from hermes.harness.models.trained import around
from hermes.harness.system.errors import HermesError
from hermes.harness.system.parsing import json_file

PREFIX, ANCHOR = "showo.", "model.embed_tokens.weight"
COMPUTED = "rotary_emb.inv_freq"
WEIGHTS = "pytorch_model.safetensors"
TEXT = "microsoft/phi-1_5"
TEXT_FILES = ("tokenizer.json", "tokenizer_config.json")
"""What is read of that repository, which holds 2.8 GB of weights beside them."""
CLIP = "openai/clip-vit-large-patch14-336"


def clip_folder(folder: Path) -> Path:
    """CLIP: the subfolder or sibling ``clip``, else the published one."""
    near = [place / "clip" for place in around(folder) if (place / "clip").is_dir()]
    if near:
        return near[0]
    try:
        return folder_of(Source(CLIP, None, local=False))
    except HermesError as error:
        raise HermesError(f"{error} the name {folder / 'clip'}") from None


def text_folder(folder: Path, path: str) -> Path:
    """The tokenizer: beside the weights, under ``tokenizer``, or where config.json's ``llm_model_path`` says."""
    beside = [place / name for place in around(folder) for name in ("tokenizer", "", Path(path).name)]
    for candidate in (folder / "tokenizer", folder, folder / path, *beside, Path(path)):
        if (candidate / "tokenizer.json").is_file():
            return candidate
    repository = path if path.count("/") == 1 and is_hub_id(path) else TEXT
    return folder_of(Source(repository, None, local=False, only=TEXT_FILES))


def read_state(folder: Path) -> dict[str, Tensor]:
    """The checkpoint's tensors in float32, without what stands before their names, which its embedding tells."""
    stored = read_tensors(folder).tensors
    before = before_anchor(stored, ANCHOR, PREFIX, "Show-o", folder)
    outer = before.removesuffix(PREFIX)
    own = {name: name.removeprefix(before if name.startswith(before) else outer) for name in stored}
    return {own[name]: tensor.float() for name, tensor in stored.items() if not name.endswith(COMPUTED)}


def read_network(folder: Path, llm_model_path: str, state: dict[str, Tensor] | None = None) -> Phi:
    """The transformer of the folder's tensors, or of ``state``, which are those without what belongs to other parts.

    Its sizes are those of the tensors; the other settings are Phi-1.5's where no Phi config is near.
    """
    state = read_state(folder) if state is None else state
    settings = phi_settings(folder, llm_model_path)
    try:
        with torch.device("meta"):
            network = Phi(_shape(state, settings))
        odd = misfit(network.state_dict(), state)
    except KeyError as error:
        odd = f"lacks {error.args[0]}"
    if odd:
        raise HermesError(f"{folder} holds no whole Show-o transformer: it {odd}; give a Show-o checkpoint")
    network.load_state_dict(state, assign=True)
    return network


def write_network(network: Phi, config: dict[str, Any], folder: Path, projector: nn.Module | None = None) -> None:
    """config.json, pytorch_model.safetensors and the Phi settings that the tensors do not tell."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    shape = network.shape
    phi = {
        "model_type": "phi",
        "hidden_size": shape.width,
        "intermediate_size": shape.inner,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "partial_rotary_factor": shape.rotary,
        "layer_norm_eps": shape.eps,
        "rope_theta": shape.theta,
    }
    for path, content in ((folder / "config.json", config), (folder / "phi_config" / "config.json", phi)):
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    state = {PREFIX + name: tensor for name, tensor in network.state_dict().items()}
    if projector is not None:
        state |= projector_state(projector)
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    save_file(state, folder / WEIGHTS, metadata={"format": "pt"})


def _shape(state: dict[str, Tensor], settings: dict[str, Any]) -> Shape:
    vocab, width = state["model.embed_tokens.weight"].shape
    layers = {name.split(".")[2] for name in state if name.startswith("model.layers.")}
    return Shape(
        vocab=vocab,
        width=width,
        layers=len(layers),
        heads=width // len(state["model.layers.0.self_attn.q_layernorm.weight"]),
        inner=len(state["model.layers.0.mlp.fc1.bias"]),
        rotary=float(settings.get("partial_rotary_factor", Shape.rotary)),
        eps=float(settings.get("layer_norm_eps", Shape.eps)),
        theta=float(settings.get("rope_theta", Shape.theta)),
    )


def phi_settings(folder: Path, at: str) -> dict[str, Any]:
    """The Phi config.json that lies ``at`` a path from the folder or one around it; nothing where there is none."""
    near = [place / at / "config.json" for place in around(folder)]
    path = next((path for path in near if path.is_file()), None)
    if path is None:
        return {}
    try:
        settings = json_file(path)
    except ValueError as error:
        raise HermesError(f"{path} is not valid JSON ({error}); fix the file") from None
    if not isinstance(settings, dict):
        raise HermesError(f"{path} does not hold an object; fix the file")
    return settings
