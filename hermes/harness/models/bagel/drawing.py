"""Pictures from noise along a flow: its times, guidance with a norm that it may not exceed, and its steps.

Source: ByteDance-Seed/Bagel commit 056b5fd, modeling/bagel/bagel.py (generate_image, _forward_flow).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from hermes.harness.models.bagel.attending import Behind, Pictures
from hermes.harness.models.bagel.network import Bagel
from hermes.harness.models.bagel.rows import Packed

Renorm = Literal["global", "channel", "text_channel"]


@dataclass(frozen=True)
class Sampling:
    """``count`` times, so one step less, moved towards noise by ``shift``; guidance where low < t <= high.

    The guided velocity is made no longer than the plain one, and at most ``least`` times shorter than it came out:
    over a whole picture ("global"), each token ("channel"), or each token before image guidance ("text_channel").
    ``together``: "global" is over all pictures of a batch, as released, which makes a picture depend on the others.
    """

    count: int = 50
    shift: float = 3.0
    interval: tuple[float, float] = (0.0, 1.0)
    renorm: Renorm = "global"
    least: float = 0.0
    image_guidance: float = 1.0
    together: bool = False

    def times(self) -> Tensor:
        """(count,) from 1, noise, to 0, the picture."""
        even = torch.linspace(1, 0, self.count)
        return self.shift * even / (1 + (self.shift - 1) * even)

    def guides(self, time: float) -> bool:
        return self.interval[0] < time <= self.interval[1]


# As the authors' scripts draw for GenEval, and change pictures for GEdit.
PAINTED = Sampling()
CHANGED = Sampling(interval=(0.4, 1.0), renorm="text_channel", image_guidance=1.5)


@dataclass(frozen=True)
class Contexts:
    """What pictures stand behind: all of it; what is left without the last text; and the texts alone.

    The last is None where there is no other picture, so that it would be the first.
    """

    whole: Behind
    wordless: Behind | None = None
    blind: Behind | None = None


class Step(NamedTuple):
    """A step from ``tokens`` (M, channels) at ``time``, along ``velocity``, of those of the ``branches`` (n, M, c)."""

    time: float
    tokens: Tensor
    branches: Tensor
    velocity: Tensor


@dataclass(frozen=True)
class Canvas:
    """Pictures of noise as rows, ``rows`` without masks; ``scales`` (B,): of the text guidance."""

    rows: Packed
    scales: Tensor
    sampling: Sampling = field(default_factory=Sampling)


@torch.inference_mode()
def flow(network: Bagel, canvas: Canvas, contexts: Contexts, noise: Tensor) -> Iterator[Step]:
    """The steps from noise (M, channels), float32. With the last velocity and time it ends at the picture's tokens.

    Rows are either all guided or all not.
    """
    sampling, x = canvas.sampling, noise.to(network.device)
    guided = [one for one in (contexts.whole, contexts.wordless) if one]
    if contexts.blind and sampling.image_guidance > 1 and len(guided) == 2:
        guided.append(contexts.blind)
    attention = {len(branches): Pictures(branches, canvas.rows) for branches in ([contexts.whole], guided)}
    times = sampling.times().tolist()
    for now, then in pairwise(times):
        branches = guided if sampling.guides(now) else [contexts.whole]
        found = velocities(network, canvas.rows, branches, attention[len(branches)], x, now)
        velocity = found[0] if len(branches) == 1 else mixed(found, canvas)
        yield Step(now, x, found, velocity)
        x = x - velocity * (now - then)


def drawn(network: Bagel, canvas: Canvas, contexts: Contexts, noise: Tensor) -> Tensor:
    """The tokens (M, channels) of pictures, float32."""
    *_, last = flow(network, canvas, contexts, noise)
    return last.tokens - last.velocity * last.time  # the last time is 0


def velocities(
    network: Bagel, rows: Packed, branches: Sequence[Behind], attention: Pictures, x: Tensor, time: float
) -> Tensor:
    """Velocities (branches, M, channels), float32, of tokens x (M, channels); all branches go through together."""
    count, pictures = len(branches), len(rows.lengths)
    words = network.language_model.model.embed_tokens(rows.ids)
    times = torch.full((pictures,), time, device=x.device)
    tokens = network.drawn(x, times, rows.picture, rows.drawn).to(words.dtype)
    marks = torch.arange(len(rows.ids), device=x.device) // 2
    places = torch.cat([one.places[owner] for owner in (marks, rows.picture) for one in branches])
    _, hidden = network.run(words.repeat(count, 1), tokens.repeat(count, 1), places, attention)
    found: Tensor = network.llm2vae(hidden).float()
    return found.view(count, -1, network.channels)


def mixed(found: Tensor, canvas: Canvas) -> Tensor:
    """The guided velocity (M, channels) of branches (n, M, channels): all, without the last text, the texts alone."""
    sampling, owner = canvas.sampling, canvas.rows.picture
    plain, wordless = found[0], found[1]
    blind = found[2] if len(found) > 2 else plain
    mix = wordless + canvas.scales[owner][:, None] * (plain - wordless)
    if sampling.renorm == "text_channel":
        mix = mix * _shrunk(plain, mix, sampling)
    if sampling.image_guidance > 1:
        mix = blind + sampling.image_guidance * (mix - blind)
    if sampling.renorm == "channel":
        mix = mix * _shrunk(plain, mix, sampling)
    elif sampling.renorm == "global":
        one = torch.zeros_like(owner) if sampling.together else owner
        told = [_norms(each, one, len(canvas.rows.lengths)) for each in (plain, mix)]
        mix = mix * (told[0] / (told[1] + 1e-8)).clamp(sampling.least, 1.0)[one][:, None]
    return mix


def _shrunk(plain: Tensor, mix: Tensor, sampling: Sampling) -> Tensor:
    long, longer = (torch.linalg.vector_norm(each, dim=-1, keepdim=True) for each in (plain, mix))
    share: Tensor = long / (longer + 1e-8)
    return share.clamp(sampling.least, 1.0)


def _norms(velocity: Tensor, owner: Tensor, pictures: int) -> Tensor:
    """The length (pictures,) of each picture's velocity."""
    squares = velocity.square().sum(-1)
    return squares.new_zeros(pictures).index_add(0, owner, squares).sqrt()
