"""Weights that are numbers: a NaN or an infinite one ends the loading, with the tensor's name."""

from collections.abc import Mapping

import torch
from torch import Tensor

from hermes.harness.system.errors import HermesError


def refuse_not_finite(tensors: Mapping[str, Tensor], what: str) -> None:
    """Raise HermesError, which begins with ``what``, where a tensor holds a number that is not finite.

    The smallest and the largest number tell, in one pass over the weights; NaN is both.
    """
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and tensor.numel() and not tensor.is_meta:
            values = tensor.float() if tensor.element_size() == 1 else tensor
            if not all(bool(end.isfinite()) for end in torch.aminmax(values.detach())):
                raise HermesError(
                    f"{what}: {name} holds numbers that are not finite (NaN or infinite); the training or the file "
                    "went wrong, give an earlier or a whole checkpoint"
                )
