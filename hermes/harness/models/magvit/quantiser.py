"""Lookup-free quantisation: a code is the signs of its channels, read as a binary number."""

import torch
from torch import Tensor, nn


def bit_values(bits: int) -> Tensor:
    """(bits,) int64: what each channel's bit is worth; channel 0 is the most significant."""
    return 2 ** torch.arange(bits - 1, -1, -1)


def code_vectors(bits: int) -> Tensor:
    """(2**bits, bits) float32: row c holds code c's bits as -1 and 1."""
    ones = torch.arange(2**bits)[:, None] // bit_values(bits) % 2
    return ones.float() * 2 - 1


class Quantiser(nn.Module):
    """Look-up-free quantiser of MAGVIT-v2 (Yu et al., ICLR 2024, section 3.1).

    Its buffers have the names and the shapes of Show-o's checkpoint (showlab/Show-o, models/modeling_magvitv2.py at
    45a5a2d): ``embedding`` (2**bits, bits) and ``power_vals`` (bits,).
    """

    embedding: Tensor
    power_vals: Tensor

    def __init__(self, bits: int) -> None:
        super().__init__()
        self.register_buffer("embedding", code_vectors(bits))
        self.register_buffer("power_vals", bit_values(bits))

    def codes(self, latent: Tensor) -> Tensor:
        """(B, bits, h, w) to codes (B, h, w) int64. A bit is 1 where its channel is above zero, 0 where it is zero."""
        return ((latent > 0).long() * self.power_vals.view(-1, 1, 1)).sum(1)

    def vectors(self, codes: Tensor) -> Tensor:
        """Codes (B, h, w) to the quantised latent (B, bits, h, w) of -1 and 1."""
        return self.embedding[codes].permute(0, 3, 1, 2)
