"""Passes through a network whose tensors have shapes and no memory: what is alive at its peak, and the FLOPs.

Only what the network computes is weightless. Token ids and masks stay real, because they decide shapes.
"""

import weakref
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.overrides import TorchFunctionMode
from torch.utils import flop_counter
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

CPU = torch.device("cpu")
ATEN = torch.ops.aten
FLOPS = {
    **flop_counter.flop_registry,
    ATEN._scaled_dot_product_flash_attention_for_cpu: flop_counter.flop_registry[
        ATEN._scaled_dot_product_flash_attention
    ],
    ATEN._scaled_dot_product_flash_attention_for_cpu_backward: flop_counter.flop_registry[
        ATEN._scaled_dot_product_flash_attention_backward
    ],
}
IN_FLOAT32 = ("layer_norm", "softmax")
"""What CUDA's autocast computes in float32 and the CPU's does not."""


def hollow(module: nn.Module, dtype: torch.dtype) -> None:
    """Give the module weights of this precision without memory; those of LoRA are in float32, as PEFT has them."""
    # The first backward pass of a process starts a thread for each GPU, of which the mode pretends that there are 255.
    torch.zeros((), requires_grad=True).backward()  # type: ignore[no-untyped-call]
    mode = FakeTensorMode(allow_non_fake_inputs=True)

    def empty(tensor: Tensor, like: torch.dtype) -> FakeTensor:
        shape = tensor.detach().to("meta")
        return FakeTensor(mode, shape.to(like) if shape.is_floating_point() else shape, CPU)

    kept: dict[int, nn.Parameter] = {}
    for place, part in module.named_modules():
        like = torch.float32 if "lora_" in place else dtype
        for name, weight in part._parameters.items():
            if weight is not None:
                made = kept.setdefault(id(weight), nn.Parameter(empty(weight, like), weight.requires_grad))
                part._parameters[name] = made
        for name, buffer in part._buffers.items():
            if buffer is not None:
                part._buffers[name] = empty(buffer, buffer.dtype)


class Live(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of what operations make for as long as it lives, and their FLOPs.

    ``peak`` is of what was made under it, without what was there before (``known``).
    """

    def __init__(self, known: Iterable[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.peak = 0
        self.flops = 0
        self._seen = {tensor.untyped_storage()._cdata for tensor in known}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        made = func(*args, **kwargs)
        if (count := FLOPS.get(func._overloadpacket)) is not None:
            self.flops += int(count(*args, **kwargs, out_val=made))
        for one in tree_leaves(made):
            if isinstance(one, Tensor):
                self._hold(one.untyped_storage())
        self.peak = max(self.peak, self.now)
        return made

    def _hold(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key not in self._seen:
            self._seen.add(key)
            self.now += size
            weakref.finalize(storage, self._let_go, key, size)

    def _let_go(self, key: int, size: int) -> None:
        self._seen.discard(key)
        self.now -= size


class _ByPlaces(TorchFunctionMode):
    """Chooses by places in place of by truth, since how many are true is known of real masks alone."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is Tensor.__getitem__ and isinstance(args[0], FakeTensor):
            chosen = args[1]
            if isinstance(chosen, Tensor) and chosen.dtype == torch.bool and not isinstance(chosen, FakeTensor):
                return func(args[0], chosen.nonzero(as_tuple=True))
        return func(*args, **(kwargs or {}))


@contextmanager
def _rounding_as_cuda() -> Iterator[None]:
    """Under autocast, norms and softmax in float32. A mode would not see what a backward pass computes again."""

    def in_float32(function: Any) -> Any:
        @wraps(function)
        def called(x: Tensor, *others: Any, **named: Any) -> Any:
            return function(x.float() if torch.is_autocast_enabled("cpu") else x, *others, **named)

        return called

    kept = {name: getattr(nn.functional, name) for name in IN_FLOAT32}
    try:
        for name, function in kept.items():
            setattr(nn.functional, name, in_float32(function))
        yield
    finally:
        for name, function in kept.items():
            setattr(nn.functional, name, function)


@contextmanager
def watched(module: nn.Module, bf16: bool, cuda: bool = False) -> Iterator[Live]:
    """Passes through the module are counted; ``cuda``: with the precisions of CUDA's autocast."""
    held = [*module.parameters(), *module.buffers()]
    live = Live([*held, *(weight.grad for weight in held if weight.grad is not None)])
    with ExitStack() as stack:
        stack.enter_context(_ByPlaces())
        if cuda:
            stack.enter_context(_rounding_as_cuda())
        stack.enter_context(torch.autocast("cpu", torch.bfloat16, enabled=bf16))
        stack.enter_context(live)
        yield live
