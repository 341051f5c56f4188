"""The device that weights are loaded to."""

from hermes.harness.system.errors import HermesError


def pick_device(wanted: str) -> str:
    """ "auto" is this process's GPU, the CPU where there is none. Raises HermesError for a device that is not here."""
    if wanted == "cpu":
        return wanted
    import torch

    from hermes.harness.system.processes import current

    if wanted != "auto":
        try:
            device = torch.device(wanted)
        except RuntimeError:
            raise HermesError(f"unknown device {wanted!r}; choose auto, cpu, cuda or cuda:N") from None
        if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
            raise HermesError(
                f"no device {wanted!r}: this machine shows {torch.cuda.device_count()} GPUs; try --device cpu"
            )
        return wanted
    return f"cuda:{current().local_rank}" if torch.cuda.is_available() else "cpu"
