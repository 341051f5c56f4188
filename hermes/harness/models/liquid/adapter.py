"""Liquid as the harness sees it."""

from pathlib import Path
from typing import ClassVar

from hermes.harness.contracts.options import PLAIN, LoadOptions
from hermes.harness.models.liquid.places import CODEC, NAME, find
from hermes.harness.models.source import Source
from hermes.harness.models.stream.adapter import StreamModel
from hermes.harness.records.types import GenerationConfig


class Liquid(StreamModel):
    """Liquid (Wu et al., 2024): Gemma 7B with Chameleon's image codes in its vocabulary.

    Pictures are drawn as in the authors' script (guidance 7, temperature 0.99, top-k 4096, top-p 0.96), answers have
    128 tokens at most as in their benchmarks.
    """

    parameters: ClassVar[str] = "8.6 B"
    description: ClassVar[str] = "Liquid: a checkpoint folder, liquid:FOLDER or liquid:HUB_ID[@REVISION]"
    defaults: ClassVar[GenerationConfig] = GenerationConfig(
        max_new_tokens=128, guidance_scale=7.0, top_k=4096, top_p=0.96
    )
    image_temperature: ClassVar[float] = 0.99

    @classmethod
    def sources(cls, reference: str) -> list[Source]:
        """The checkpoint that ``load`` reads, without the VQGAN, which is small."""
        return [find(reference)]

    @classmethod
    def load(cls, reference: str = NAME, device: str = "cpu", options: LoadOptions = PLAIN) -> "Liquid":
        """A folder, "liquid:<folder or hub id>", or "liquid", the published one. Raises HermesError for others."""
        from hermes.harness.models.liquid.load import load_checkpoint

        source = find(reference)
        return cls(source.title, load_checkpoint(source, device, options), options)

    def save(self, folder: Path) -> None:
        """Write config, weights and tokenizer in transformers' layout, and the VQGAN in chameleon/."""
        from hermes.harness.models.chameleon_vq.files import write_codec
        from hermes.harness.models.stream.files import keep_files

        self.network.save_pretrained(folder)
        keep_files(self.prompting.words, self.folder, folder)
        write_codec(self.codec, folder / CODEC)
