"""Chameleon of Meta as a model that understands, through transformers' ChameleonForConditionalGeneration."""

from typing import ClassVar

from hermes.harness.models.vlm.adapter import HFModel

CHECKPOINT = "facebook/chameleon-7b"


class Chameleon(HFModel):
    """Chameleon (arXiv:2405.09818): text about none, one or several images; greedy without a temperature.

    Understanding only: the published weights were released without image output. The prompt is the images, then the
    words as they are, as in the authors' chameleon/inference/examples/multimodal_input.py (facebookresearch/chameleon,
    e3b711e); transformers' processor puts the begin token before them and the end of the turn behind. A chat template
    that lies with the files is not used, so that all copies of the weights are asked alike.
    """

    parameters: ClassVar[str] = "7 B, 30 B"
    description: ClassVar[str] = "Chameleon: a checkpoint folder, chameleon:FOLDER or chameleon:HUB_ID[@REVISION]"
    alignable: ClassVar[bool] = False  # transformers keeps its image tokenizer within what it calls the decoder.
    name: ClassVar[str] = "chameleon"
    checkpoint: ClassVar[str | None] = CHECKPOINT
    model_type: ClassVar[str | None] = "chameleon"
