"""The eye of Show-o's CLIP variants: CLIP's frozen vision tower, and the projector of its features.

Source: Show-o commit 45a5a2d, models/clip_encoder.py, models/modeling_showo.py and inference_mmu.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from hermes.harness.models.finite import refuse_not_finite
from hermes.harness.models.quiet import quiet
from hermes.harness.system.errors import HermesError

PROJECTOR = "mm_projector."
LAYER = -2
KINDS = ("clip", "clip_vision_model")


@dataclass(frozen=True)
class ClipVision:
    """Pixels to features: the patches' states before the tower's last layer, in float32, without the class token.

    ``projector`` takes them into the transformer's width; it alone is trained. ``at``: the tower's folder.
    """

    tower: Any
    processor: Any
    projector: nn.Sequential
    at: Path

    @property
    def count(self) -> int:
        """Features of an image."""
        side: int = self.tower.config.image_size // self.tower.config.patch_size
        return side**2

    def pixels(self, picture: Image.Image) -> NDArray[np.uint8]:
        """(3, R, R): resized by PIL and cut to the tower's size. The values are scaled only when they are seen."""
        made = self.processor(picture, do_rescale=False, do_normalize=False, return_tensors="np")
        return np.ascontiguousarray(made["pixel_values"][0], dtype=np.uint8)

    @torch.no_grad()
    def see(self, pixels: Sequence[NDArray[np.uint8]]) -> Tensor:
        """(M, count, CLIP's width), in the projector's precision. Images are seen one by one, equal ones once."""
        weight = next(self.projector.parameters())
        found: dict[bytes, Tensor] = {}
        for one in pixels:
            if one.tobytes() not in found:
                found[one.tobytes()] = self._features(one)
        if not found:
            return weight.new_empty(0, self.count, weight.shape[1])
        return torch.stack([found[one.tobytes()] for one in pixels]).to(weight.device, weight.dtype)

    def state(self) -> dict[str, Tensor]:
        """All weights by name."""
        tower = {f"clip.{name}": tensor for name, tensor in self.tower.state_dict().items()}
        return tower | projector_state(self.projector)

    def parameters(self) -> list[Tensor]:
        return [*self.tower.parameters(), *self.projector.parameters()]

    def save(self, folder: Path) -> None:
        """Write the tower and its preprocessing, which ``read_clip`` reads; they are what they were where it lay."""
        if self.at.resolve() != folder.resolve():
            self.tower.save_pretrained(folder)
            self.processor.save_pretrained(folder)

    def _features(self, pixels: NDArray[np.uint8]) -> Tensor:
        scaled = self.processor(
            pixels,
            do_resize=False,
            do_center_crop=False,
            do_convert_rgb=False,
            input_data_format="channels_first",
            return_tensors="pt",
        )["pixel_values"].to(self.tower.device)
        with torch.autocast(scaled.device.type, enabled=False):
            states = self.tower(pixel_values=scaled, output_hidden_states=True).hidden_states[LAYER]
        features: Tensor = states[0, 1:]
        return features


def take_projector(state: dict[str, Tensor], wanted: bool, folder: Path) -> nn.Sequential | None:
    """The projector, taken out of a checkpoint's tensors, where config.json wants one.

    Raises HermesError where the tensors and config.json disagree.
    """
    held = {name: state.pop(name) for name in list(state) if name.startswith(PROJECTOR)}
    if not wanted:
        if held:
            raise HermesError(f"{folder} holds {min(held)}, but config.json says w_clip_vit false; set it to true")
        return None
    embedding, first = state.get("model.embed_tokens.weight"), held.get(f"{PROJECTOR}0.weight")
    takes, width = (1 if one is None else one.shape[-1] for one in (first, embedding))
    with torch.device("meta"):
        projector = nn.Sequential(nn.Linear(takes, width), nn.GELU(), nn.Linear(width, width))
    shapes = {name: tensor.shape for name, tensor in projector_state(projector).items()}
    found = {name: tensor.shape for name, tensor in held.items()}
    if odd := sorted(name for name in {*shapes, *found} if shapes.get(name) != found.get(name)):
        raise HermesError(
            f"{folder} holds no projector of CLIP features (see {odd[0]}), which config.json's w_clip_vit promises; "
            "download the checkpoint again"
        )
    projector.load_state_dict({name.removeprefix(PROJECTOR): tensor for name, tensor in held.items()}, assign=True)
    return projector


def projector_state(projector: nn.Module) -> dict[str, Tensor]:
    """The projector's tensors under their published names."""
    return {PROJECTOR + name: tensor for name, tensor in projector.state_dict().items()}


def read_clip(folder: Path, projector: nn.Sequential, device: str) -> ClipVision:
    """The tower of a CLIP folder in transformers' layout, frozen.

    Raises HermesError where it is not one, is torn or does not fit the projector.
    """
    import transformers

    try:
        kind = transformers.AutoConfig.from_pretrained(folder, trust_remote_code=False).model_type
        if kind not in KINDS:
            raise HermesError(f"{folder} is a {kind!r} model, not CLIP; give openai/clip-vit-large-patch14-336")
        loader: Any = transformers.CLIPVisionModel
        with quiet():  # about the text tower of a whole CLIP, which stays unread
            tower, told = loader.from_pretrained(
                folder, dtype=torch.float32, output_loading_info=True, trust_remote_code=False
            )
        processor = transformers.CLIPImageProcessorPil.from_pretrained(folder)
    except HermesError:
        raise
    except Exception as error:  # torn files make the readers fail in many ways
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise HermesError(f"{folder}: CLIP cannot be read ({reason}); download it again") from None
    if lost := sorted(told["missing_keys"]):
        raise HermesError(f"{folder} lacks {len(lost)} of CLIP's vision weights, such as {lost[0]}; download it again")
    refuse_not_finite(tower.state_dict(), str(folder))
    clip = ClipVision(tower.to(device).eval().requires_grad_(False), processor, projector, folder)
    width, size = tower.config.hidden_size, tower.config.image_size
    takes = next(projector.parameters()).shape[1]
    if width != takes:
        raise HermesError(f"{folder}: CLIP's features have {width} numbers, the projector takes {takes}; give its CLIP")
    if clip.pixels(Image.new("RGB", (8, 8))).shape != (3, size, size):
        raise HermesError(f"{folder}: preprocessor_config.json does not cut images to {size} x {size} px; fix it")
    return clip
