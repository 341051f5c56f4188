"""What a checkpoint of a model of one stream holds."""

from pathlib import Path
from typing import Any, NamedTuple

from hermes.harness.models.chameleon_vq.codec import Codec
from hermes.harness.models.stream.prompting import Prompting


class Loaded(NamedTuple):
    """``folder`` is where it was read from, and ``commit`` the hub's, None for a folder."""

    network: Any
    codec: Codec
    prompting: Prompting
    folder: Path
    commit: str | None
