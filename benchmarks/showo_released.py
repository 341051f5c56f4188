"""The released way to run Show-o and to train HermesFlow, in plain torch over our weights: the peer of showo_speed.py.

What is done and in which order is that of showlab/Show-o at 45a5a2d (models/modeling_showo.py, phi.py) and HermesFlow
at d6cf91a: whole sequences at every step, additive float masks [B, 1, L, L], keys and values kept though nobody reads
them, transformers' ``gelu_new`` in separate element-wise steps, logits of all positions over the whole vocabulary.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from hermes.harness.models.showo.attention import generation_mask, understanding_mask
from hermes.harness.models.showo.phi import Phi
from hermes.harness.models.showo.prompting import Layout

HIDDEN = float(torch.iinfo(torch.int64).min)
NOTHING = -100
TINY = 1e-20
BETA = 0.2


def additive(allowed: Tensor) -> Tensor:
    """(B, L, L) booleans to the float32 mask (B, 1, L, L) that is added to the scores."""
    return torch.zeros(allowed.shape, device=allowed.device).masked_fill(~allowed, HIDDEN)[:, None]


def all_logits(model: Phi, ids: Tensor, mask: Tensor) -> Tensor:
    """(B, L) ids to float32 logits (B, L, vocabulary)."""
    shape, kept = model.shape, []
    head = shape.width // shape.heads
    x = model.model.embed_tokens(ids)
    kind = x.device.type
    mask = mask.to(torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype)
    turn = _turn(ids.shape[1], int(head * shape.rotary), shape.theta, x)
    for layer in model.model.layers:
        attention, normed = layer.self_attn, layer.input_layernorm(x)
        split = (*ids.shape, shape.heads, head)
        query = _rotated(attention.q_layernorm(attention.q_proj(normed).view(split).transpose(1, 2)), turn)
        key = _rotated(attention.k_layernorm(attention.k_proj(normed).view(split).transpose(1, 2)), turn)
        value = attention.v_proj(normed).view(split).transpose(1, 2)
        kept.append((key, value))
        seen = F.scaled_dot_product_attention(query.to(value.dtype), key.to(value.dtype), value, attn_mask=mask)
        attended = attention.dense(seen.transpose(1, 2).contiguous().view(*ids.shape, shape.width))
        x = attended + layer.mlp.fc2(_gelu(layer.mlp.fc1(normed))) + x
    logits: Tensor = model.lm_head(model.model.final_layernorm(x))
    return logits.float()


@torch.no_grad()
def write_released(model: Phi, layout: Layout, image: Tensor, prompt: Sequence[int], count: int) -> list[int]:
    """``count`` greedy tokens behind one image (N,) and one prompt; top_k 1 with a draw, as the scripts call it."""
    ids = torch.tensor([[*layout.seen_image(image.tolist()), *prompt]], device=image.device)
    mask = additive(understanding_mask(ids, layout.vocabulary))
    written: list[int] = []
    for _ in range(count):
        last = all_logits(model, ids, mask)[:, -1]
        mask = F.pad(mask, (0, 1), value=torch.finfo(torch.float32).min)
        mask = torch.cat([mask, F.pad(mask[:, :, -1:, :-1], (0, 1))], 2)
        best = last.topk(1).values
        token = torch.multinomial(last.masked_fill(last < best, -torch.inf).softmax(-1), 1)
        written.append(int(token))
        ids = torch.cat([ids, token], 1)
    return written


@torch.no_grad()
def draw_released(
    model: Phi, layout: Layout, texts: Sequence[Sequence[int]], tokens: int, steps: int, guidance: float,
    generator: torch.Generator,
) -> Tensor:  # fmt: skip
    """Image token ids (B, tokens) for the prompts' ids, at temperature 1; the generator is on the model's device."""
    device, words = model.lm_head.weight.device, layout.vocabulary
    blank = [words.mask] * tokens
    ids = torch.tensor([layout.generation(text, blank) for text in texts], device=device)
    free = torch.tensor([layout.generation([], blank) for _ in texts], device=device)
    mask = additive(generation_mask(torch.cat([ids, free]), words))
    part = slice(-(tokens + 1), -1)
    codes, temperature = torch.full((len(texts), tokens), words.mask, device=device), 1.0
    for step in range(steps):
        free = torch.cat([free[:, : layout.image_begin], ids[:, layout.image_begin :]], 1)
        given, empty = all_logits(model, torch.cat([ids, free]), mask).chunk(2)
        logits = ((1 + guidance) * given - guidance * empty)[:, part, words.first_code : words.mask]
        shares = logits.softmax(-1)
        drawn = torch.multinomial(shares.reshape(-1, words.codes), 1, generator=generator).view(codes.shape)
        unknown = codes == words.mask
        drawn = torch.where(unknown, drawn, codes)
        ratio = (step + 1) / steps
        left = (tokens * torch.cos(torch.tensor(ratio) * math.pi * 0.5)).floor().to(device)
        left = torch.minimum(left, unknown.sum(1, keepdim=True) - 1).clamp_min(1).long()
        share = shares.gather(-1, drawn[..., None])[..., 0]
        share = torch.where(unknown, share, torch.finfo(share.dtype).max)
        temperature *= 1 - ratio
        noise = torch.rand(share.shape, generator=generator, device=device)
        noise = -(-noise.clamp_min(TINY).log()).clamp_min(TINY).log()
        sure = share.clamp_min(TINY).log() + temperature * noise
        masked = sure < sure.sort(1).values.gather(1, left)
        codes = torch.where(masked, words.mask, drawn)
        ids[:, part] = torch.where(masked, words.mask, drawn + words.first_code)
    return drawn + words.first_code


@dataclass(frozen=True)
class Side:
    """One side of a batch of pairs: ids and labels (B, L), the image rows first, then the text rows."""

    ids: Tensor
    labels: Tensor
    image_rows: int


def pair_loss_released(policy: Phi, reference: Phi, layout: Layout, win: Side, lose: Side) -> Tensor:
    """The sum of both DPO losses, by four forward passes.

    Log-probabilities are summed over the rows of a kind before the one sigmoid. The text sum is over the text rows, as
    was meant; the published slice takes in all rows, at the same cost.
    """
    masks = [_pair_mask(layout, side) for side in (win, lose)]
    told = [_sums(policy, layout, side, mask) for side, mask in zip((win, lose), masks, strict=True)]
    with torch.no_grad():
        known = [_sums(reference, layout, side, mask) for side, mask in zip((win, lose), masks, strict=True)]
    return dpo((told[0] - known[0]) - (told[1] - known[1]))


def dpo(ratios: Tensor) -> Tensor:
    """Log-ratio differences (2,) of images and texts to the sum of their losses."""
    return -F.logsigmoid(BETA * ratios).sum()


def _pair_mask(layout: Layout, side: Side) -> Tensor:
    image, text = side.ids[: side.image_rows], side.ids[side.image_rows :]
    seen = [generation_mask(image, layout.vocabulary), understanding_mask(text, layout.vocabulary)]
    return torch.cat([additive(allowed) for allowed in seen])


def _sums(model: Phi, layout: Layout, side: Side, mask: Tensor) -> Tensor:
    """Summed log-probabilities (2,) of the image rows' labels, unshifted, and the text rows', shifted by one."""
    rows, begin = side.image_rows, layout.image_begin
    logits = all_logits(model, side.ids, mask)
    image = _label_sum(logits[:rows, begin:], side.labels[:rows, begin:])
    text = _label_sum(logits[rows:, :-1], side.labels[rows:, 1:])
    return torch.stack([image, text])


def _label_sum(logits: Tensor, labels: Tensor) -> Tensor:
    counted = labels != NOTHING
    told = logits.log_softmax(-1).gather(-1, labels.masked_fill(~counted, 0)[..., None])[..., 0]
    return (told * counted).sum()


def _gelu(x: Tensor) -> Tensor:
    return 0.5 * x * (1.0 + torch.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * torch.pow(x, 3.0))))


def _turn(length: int, size: int, theta: float, like: Tensor) -> tuple[Tensor, Tensor]:
    speed = theta ** -(torch.arange(0, size, 2, device=like.device) / size)
    angle = torch.outer(torch.arange(length, device=like.device).float(), speed).repeat(1, 2)
    return angle.cos().to(like.dtype), angle.sin().to(like.dtype)


def _rotated(x: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
    size = turn[0].shape[-1]
    moved, kept = x[..., :size], x[..., size:]
    swapped = torch.cat([-moved[..., size // 2 :], moved[..., : size // 2]], -1)
    return torch.cat([moved * turn[0] + swapped * turn[1], kept], -1)
