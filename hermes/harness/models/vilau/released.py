"""What the authors' drawing loop does besides drawing: a text token at every position, which may get in the way.

Source: mit-han-lab/vila-u, commit 096623c. Behind each position it draws a token of text from lm_head of the position's
own embedding, for the row with the prompt and for the one without. They are thrown away, with two exceptions: where the
last row's token begins a picture or a film, the rows go on from their tokens in place of the picture's position; and
where all rows have drawn the end token the loop ends, and there is no picture. Both depend on a request's companions
there; here every request is drawn as if it were alone.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from hermes.harness.models.seeded import Draw
from hermes.harness.models.vilau.network import Network
from hermes.harness.models.vilau.prompting import Words
from hermes.harness.models.vilau.sampling import Cuts, inverted
from hermes.harness.records.seeds import derive_seed
from hermes.harness.system.errors import ImageError


class TextTokens:
    """The `Interrupt` of a call of ``draw_steps``; ``text`` is how the checkpoint's generation settings draw."""

    def __init__(self, model: Network, words: Words, draws: Sequence[Draw], text: Draw) -> None:
        self.model, self.words = model, words
        self.cuts = Cuts([text] * len(draws), model.device)
        self.guided = Cuts(draws, model.device).places
        self.generators = [torch.Generator().manual_seed(derive_seed(draw.seed, "thrown away")) for draw in draws]
        self.ended = torch.zeros(len(draws), 2, dtype=torch.bool, device=model.device)

    def __call__(self, embedded: Tensor, position: int) -> Tensor:
        """Raises ImageError where a picture ends before its last position."""
        rows, words = len(self.generators), self.words
        likely = self.cuts.probabilities(self.model.llm.lm_head(embedded[:rows]).float().to(embedded.device))
        uniform = torch.stack([torch.rand(2, generator=each, dtype=torch.float64) for each in self.generators])
        drawn = [inverted(likely, column.to(embedded.device)) for column in uniform.T]
        tokens = torch.stack(drawn, 1).masked_fill(self.ended, words.pad)
        self.ended = self.ended | (tokens == words.eos)
        if bool(self.ended.all(1).any()):
            raise ImageError(
                f"as released: all rows have drawn the end of text at position {position}, and there is no picture"
            )
        begun = (tokens[:, 1] == words.begin) | (tokens[:, 1] == words.video)
        instead = self.model.llm.get_input_embeddings()(tokens).to(embedded)
        every = torch.cat([begun, begun[self.guided]])
        others = torch.cat([instead[:, 0], instead[self.guided, 1]])
        return torch.where(every[:, None], others, embedded)
