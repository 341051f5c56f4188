"""Anole as the harness sees it."""

from pathlib import Path
from typing import ClassVar

from hermes.harness.contracts.options import PLAIN, LoadOptions
from hermes.harness.models.anole.places import NAME, find
from hermes.harness.models.source import Source
from hermes.harness.models.stream.adapter import StreamModel
from hermes.harness.records.types import GenerationConfig


class Anole(StreamModel):
    """Anole (Chern et al., 2024): Chameleon whose image head was trained again, so that it draws.

    Pictures are drawn as in the authors' script (guidance 3, temperature 0.7, top-p 0.9). Any Chameleon whose
    checkpoint holds the VQGAN's decoder is read; published Chameleon, which lacks it, is `chameleon`'s.
    """

    parameters: ClassVar[str] = "7 B"
    description: ClassVar[str] = (
        "Anole, Chameleon that draws: a checkpoint folder, anole:FOLDER or anole:HUB_ID[@REVISION]"
    )
    defaults: ClassVar[GenerationConfig] = GenerationConfig(max_new_tokens=256, guidance_scale=3.0, top_p=0.9)
    image_temperature: ClassVar[float] = 0.7

    @classmethod
    def sources(cls, reference: str) -> list[Source]:
        """The checkpoint that ``load`` reads."""
        return [find(reference)]

    @classmethod
    def load(cls, reference: str = NAME, device: str = "cpu", options: LoadOptions = PLAIN) -> "Anole":
        """A folder, "anole:<folder or hub id>", or "anole", the published one. Raises HermesError for others."""
        from hermes.harness.models.anole.load import load_checkpoint

        source = find(reference)
        return cls(source.title, load_checkpoint(source, device, options), options)

    def save(self, folder: Path) -> None:
        """Write config, weights with the whole VQGAN, and tokenizer in transformers' layout."""
        from hermes.harness.models.anole.load import write_checkpoint

        write_checkpoint(self.network, self.codec, self.prompting.words, self.folder, folder)
