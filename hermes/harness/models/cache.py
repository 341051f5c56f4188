"""A language model's cache that is given all its room at once: what was read is not copied again at every position."""

from typing import Any

from torch import Tensor
from transformers.cache_utils import DynamicLayer


class Roomy(DynamicLayer):  # type: ignore[no-untyped-call]
    """A layer of transformers' cache with the keys and values that ``read`` has, for ``rows`` (R,) of its rows, and
    room for ``more`` positions.
    """

    def __init__(self, read: Any, rows: Tensor, more: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.lazy_initialization(read.keys, read.values)
        self.held: list[Tensor] = [_with_room(states, rows, more) for states in (read.keys, read.values)]
        self.show(read.get_seq_length())

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **settings: Any) -> tuple[Tensor, Tensor]:
        """All keys and values (R, heads, length, width), with new ones behind those that were there."""
        begin = self.get_seq_length()
        end = begin + key_states.shape[2]
        for held, states in zip(self.held, (key_states, value_states), strict=True):
            held[:, :, begin:end] = states
        return self.show(end)

    def show(self, length: int) -> tuple[Tensor, Tensor]:
        """Hold the first ``length`` positions; what is written next goes behind them."""
        keys, values = (held[:, :, :length] for held in self.held)
        self.keys, self.values = keys, values
        return keys, values


def give_room(cache: Any, rows: Tensor, more: int) -> None:
    """Keep these rows of transformers' DynamicCache, each as often as it is named, with room for ``more`` positions."""
    for number, layer in enumerate(cache.layers):
        cache.layers[number] = Roomy(layer, rows.to(layer.keys.device), more)


def rewind(cache: Any, length: int) -> None:
    """Forget all but the first ``length`` positions of a cache that was given room."""
    for layer in cache.layers:
        layer.show(length)


def _with_room(states: Tensor, rows: Tensor, more: int) -> Tensor:
    _, heads, length, width = states.shape
    held = states.new_empty(len(rows), heads, length + more, width)
    held[:, :, :length] = states[rows]
    return held
