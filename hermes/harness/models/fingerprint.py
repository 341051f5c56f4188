"""A hash of a model's weights as they are now, made again only where a weight was written to."""

import hashlib
from collections.abc import Callable, Mapping

from torch import Tensor


class WeightsFingerprint:
    """Sixteen hexadecimal digits over ``salt`` and the tensors that ``state`` gives by name."""

    def __init__(self, state: Callable[[], Mapping[str, Tensor]], salt: str = "") -> None:
        self._state, self._salt = state, salt
        self._hashed: tuple[tuple[int, ...], str] | None = None

    def __call__(self) -> str:
        state = dict(sorted(self._state().items()))
        versions = tuple(tensor._version for tensor in state.values())
        if self._hashed is None or self._hashed[0] != versions:
            digest = hashlib.blake2b(self._salt.encode(), digest_size=8)
            for name, tensor in state.items():
                digest.update(name.encode())
                digest.update(tensor.detach().float().cpu().contiguous().numpy().data)
            self._hashed = (versions, digest.hexdigest())
        return self._hashed[1]
