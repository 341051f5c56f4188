"""What config.yaml and config_bert.json of a published mPLUG directory say, checked."""

from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, ValidationError, model_validator

from hermes.harness.records.types import Record
from hermes.harness.system.errors import HermesError
from hermes.harness.system.failures import file_error
from hermes.harness.system.parsing import json_value

CONFIG_FILE = "config.yaml"
HEAD_WIDTH = 64
QUESTION_TOKENS = 25


class MPlugConfig(Record, extra="ignore"):
    """Sizes, the fusion's stride and the search. Defaults are those of modelscope 1.40.2 and bert-base-uncased.

    ``stride_layer`` changes the answers and no tensor's shape tells it; 100, which means never, is what modelscope
    takes where the file leaves it out.
    """

    image_res: int = Field(504, ge=1)
    vision_width: int = Field(1024, ge=1)
    clip_vision_width: int = Field(1024, ge=HEAD_WIDTH, multiple_of=HEAD_WIDTH)
    clip_vision_layers: int = Field(24, ge=1)
    clip_vision_patch_size: int = Field(14, ge=1)
    beam_size: int = Field(5, ge=1)
    min_length: int = Field(1, ge=0)
    max_length: int = Field(10, ge=1)

    hidden_size: int = Field(ge=1)
    num_attention_heads: int = Field(ge=1)
    intermediate_size: int = Field(ge=1)
    num_hidden_layers: int = Field(ge=1)
    text_encoder_layers: int = Field(ge=1)
    fusion_layers: int = Field(ge=1)
    text_decode_layers: int = Field(ge=1)
    stride_layer: int = Field(100, ge=1)
    encoder_width: int | None = None
    vocab_size: int = Field(30522, gt=102)
    max_position_embeddings: int = Field(512, ge=QUESTION_TOKENS)
    type_vocab_size: int = Field(2, ge=1)
    layer_norm_eps: float = Field(1e-12, gt=0)
    hidden_act: Literal["gelu"] = "gelu"

    @model_validator(mode="after")
    def _fits(self) -> "MPlugConfig":
        if self.hidden_size % self.num_attention_heads:
            raise ValueError("hidden_size must be a multiple of num_attention_heads")
        if self.encoder_width not in (None, self.hidden_size):
            raise ValueError("encoder_width must equal hidden_size")
        if self.vision_width != self.clip_vision_width:
            raise ValueError("vision_width must equal clip_vision_width")
        if self.fusion_layers > self.num_hidden_layers:
            raise ValueError("fusion_layers must not exceed num_hidden_layers")
        if self.max_length > self.max_position_embeddings:
            raise ValueError("max_length must not exceed max_position_embeddings")
        return self

    @property
    def positions(self) -> int:
        """Image states of one image: its patches and the class token."""
        return (self.image_res // self.clip_vision_patch_size) ** 2 + 1

    @property
    def fused(self) -> range:
        """The fusion layers that run: the last ``fusion_layers`` of ``num_hidden_layers``."""
        return range(self.num_hidden_layers - self.fusion_layers, self.num_hidden_layers)

    def connected(self, layer: int) -> bool:
        """Whether a fusion layer attends over image and text together; counted from the first one that runs."""
        place = layer - self.fused.start
        return place > 0 and place % self.stride_layer == 0


def read_config(folder: Path) -> MPlugConfig:
    """The settings of a checkpoint folder. Raises HermesError that names the file and the field."""
    settings = _read(folder / CONFIG_FILE, yaml.safe_load)
    bert = folder / str(settings.get("bert_config", "config_bert.json"))
    try:
        return MPlugConfig.model_validate(settings | _read(bert, json_value))
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "settings"
        raise HermesError(f"{folder}: {field} in {CONFIG_FILE} or {bert.name}: {first['msg']}; fix the file") from None


def _read(path: Path, parse: Any) -> dict[str, Any]:
    try:
        content = parse(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise file_error(path, error, "give a complete mPLUG folder") from None
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise HermesError(f"{path} does not parse ({reason}); download the file again") from None
    if not isinstance(content, dict):
        raise HermesError(f"{path} holds no settings; download the file again")
    return content
