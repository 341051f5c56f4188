"""How a checkpoint is loaded: precision, placement over devices, a LoRA adapter on top. Nothing here needs torch."""

from typing import Any, Literal

from hermes.harness.errors import HermesError
from hermes.harness.types import Record

DType = Literal["auto", "float32", "bfloat16", "float16"]


class LoadOptions(Record):
    """What the flags of the same names say. A model class lists in ``options`` the fields that it heeds.

    ``dtype`` auto: the model's own choice for the device. ``device_map``: accelerate's ("auto" spreads the weights over
    all GPUs). ``adapter``: folder or hub id of a LoRA adapter in PEFT's layout, merged into the weights. ``compile``:
    torch.compile.
    """

    dtype: DType = "auto"
    device_map: str | None = None
    adapter: str | None = None
    compile: bool = False

    def given(self) -> dict[str, Any]:
        """The fields that are not at their defaults."""
        return self.model_dump(exclude_defaults=True)


PLAIN = LoadOptions()


def options_of(settings: LoadOptions) -> LoadOptions:
    """The loading options among the fields of other settings."""
    return LoadOptions(**{name: getattr(settings, name) for name in LoadOptions.model_fields})


def refuse_unheeded(cls: Any, options: LoadOptions, name: str) -> None:
    """Raise HermesError for an option that the model class does not heed; without a choice it computes in float32."""
    heeded: tuple[str, ...] = getattr(cls, "options", ())
    for field, value in options.given().items():
        if field not in heeded and (field, value) != ("dtype", "float32"):
            able = ", ".join(map(_flag, heeded)) or "none"
            raise HermesError(f"model {name!r} does not take {_flag(field)} (it takes {able}); leave it out")


def _flag(field: str) -> str:
    return "--" + field.replace("_", "-")
