"""What the network sees of images and questions."""

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from hermes.harness.judges.mplug.config import QUESTION_TOKENS
from hermes.harness.judges.mplug.tokenizer import PAD, QuestionTokenizer

MEAN = (0.48145466, 0.4578275, 0.40821073)
DEVIATION = (0.26862954, 0.26130258, 0.27577711)


def pixels(images: Sequence[Image.Image], resolution: int) -> Tensor:
    """(n, 3, R, R) float32: RGB without alpha, squeezed to a square by PIL's bicubic filter, CLIP's mean and deviation.

    The aspect ratio is ignored, as it is in the published judge.
    """
    square = [image.convert("RGB").resize((resolution, resolution), Image.Resampling.BICUBIC) for image in images]
    channels_last = torch.from_numpy(np.stack([np.asarray(image) for image in square]))
    scaled = channels_last.permute(0, 3, 1, 2).to(torch.float32) / 255
    return (scaled - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(DEVIATION).view(3, 1, 1)


def tokens(questions: Sequence[str], tokenizer: QuestionTokenizer) -> tuple[Tensor, Tensor]:
    """(n, 25) ids, padded, and (n, 25) booleans, True where there is a token. No prompt is added to a question."""
    ids = torch.full((len(questions), QUESTION_TOKENS), tokenizer.ids[PAD])
    mask = torch.zeros(ids.shape, dtype=torch.bool)
    for row, question in enumerate(questions):
        encoded = tokenizer.encode(question)
        ids[row, : len(encoded)] = torch.tensor(encoded)
        mask[row, : len(encoded)] = True
    return ids, mask
