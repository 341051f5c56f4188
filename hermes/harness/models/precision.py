"""The precision that a model computes in: what --dtype says, or the model's choice for the device."""

import torch


def torch_dtype(name: str, device: str) -> torch.dtype:
    """ "auto" is bfloat16 on CUDA and float32 elsewhere; the other names are torch's own."""
    if name == "auto":
        return torch.bfloat16 if device.startswith("cuda") else torch.float32
    chosen: torch.dtype = getattr(torch, name)
    return chosen


def dtype_name(dtype: torch.dtype) -> str:
    """ "float32" for torch.float32."""
    return str(dtype).removeprefix("torch.")
