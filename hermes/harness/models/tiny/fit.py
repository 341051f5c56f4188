"""The training loop that image tokeniser and transformer share: AdamW, Muon, warm-up, decay, log, exact resume."""

import json
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from hermes.harness.system.disk import write_atomic
from hermes.harness.system.errors import HermesError
from hermes.harness.system.parsing import json_value
from hermes.harness.system.progress import Progress, Silent


@dataclass(frozen=True)
class Schedule:
    """How long and how fast: the learning rate rises linearly for ``warm_up`` steps, stays, and falls linearly to zero
    over the last ``decay`` share of the steps."""

    steps: int
    learning_rate: float
    warm_up: int = 150
    decay: float = 0.35
    weight_decay: float = 0.02
    clip: float = 1.0
    betas: tuple[float, float] = (0.9, 0.98)
    log_every: int = 50
    save_every: int = 200

    def rate(self, step: int) -> float:
        """The learning rate of a step, counted from 0."""
        if step < self.warm_up:
            return self.learning_rate * (step + 1) / self.warm_up
        return self.learning_rate * min(1.0, (self.steps - step) / (self.decay * self.steps))


def optimizers_for(
    module: nn.Module, schedule: Schedule, hidden: Sequence[nn.Parameter] = ()
) -> list[torch.optim.Optimizer]:
    """AdamW with weight decay on matrices only, and Muon for the ``hidden`` matrices, if there are any.

    Muon (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon) makes steps of the size of AdamW's, so that one
    learning rate serves both. Raises HermesError where torch has no Muon.
    """
    apart = {id(parameter) for parameter in hidden}
    others = [p for p in module.parameters() if p.requires_grad and id(p) not in apart]
    groups = [
        {"params": [p for p in others if p.dim() > 1], "weight_decay": schedule.weight_decay},
        {"params": [p for p in others if p.dim() <= 1], "weight_decay": 0.0},
    ]
    found: list[torch.optim.Optimizer] = [torch.optim.AdamW(groups, lr=schedule.learning_rate, betas=schedule.betas)]
    if hidden:
        if not hasattr(torch.optim, "Muon"):
            raise HermesError(f"this training needs torch 2.9 or newer, not {torch.__version__}: pip install -U torch")
        rate, decay = schedule.learning_rate, schedule.weight_decay
        found.append(torch.optim.Muon(list(hidden), lr=rate, weight_decay=decay, adjust_lr_fn="match_rms_adamw"))
    return found


def save_state(path: Path, module: nn.Module, optimizers: Sequence[torch.optim.Optimizer], step: int) -> None:
    """Weights and optimiser moments after ``step`` steps in one safetensors file, replaced in one move."""
    tensors = {f"module.{name}": tensor.contiguous() for name, tensor in module.state_dict().items()}
    for number, optimizer in enumerate(optimizers):
        for index, state in optimizer.state_dict()["state"].items():
            for name, value in state.items():
                tensors[f"optimizer.{number}.{index}.{name}"] = torch.as_tensor(value).clone()
    write_atomic(path, save(tensors, metadata={"step": str(step)}))


def load_state(path: Path, module: nn.Module, optimizers: Sequence[torch.optim.Optimizer]) -> int:
    """The inverse of save_state. Returns the number of steps done; raises HermesError for a file of something else."""
    try:
        with safe_open(path, framework="pt") as file:
            step = int((file.metadata() or {})["step"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        module.load_state_dict({k.removeprefix("module."): v for k, v in tensors.items() if k.startswith("module.")})
    except (SafetensorError, OSError, KeyError, ValueError, RuntimeError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise HermesError(
            f"{path} holds no state of this training ({reason}); remove it to train from the start"
        ) from None
    for number, optimizer in enumerate(optimizers):
        prefix, state = f"optimizer.{number}.", dict[int, dict[str, Tensor]]()
        for key, value in tensors.items():
            if key.startswith(prefix):
                index, name = key.removeprefix(prefix).split(".", 1)
                state.setdefault(int(index), {})[name] = value
        whole = optimizer.state_dict()
        whole["state"] = state
        optimizer.load_state_dict(whole)
    return step


def _shorten(log: Path, step: int) -> None:
    """Drop what was logged after ``step``: it is done again."""
    lines = log.read_bytes().splitlines(keepends=True) if log.exists() else []
    try:
        kept = [line for line in lines if line.endswith(b"\n") and json_value(line)["step"] <= step]
    except (ValueError, LookupError, TypeError):
        raise HermesError(f"{log} holds a line that this training did not write; remove the file") from None
    write_atomic(log, b"".join(kept))


def fit(
    module: nn.Module,
    batch: Callable[[int], Any],
    loss: Callable[[nn.Module, Any], tuple[Tensor, dict[str, float]]],
    schedule: Schedule,
    folder: Path,
    device: str = "cpu",
    watch: Callable[[int], dict[str, float]] | None = None,
    watch_every: int = 1000,
    progress: Progress | None = None,
    label: str = "training",
    hidden: Sequence[nn.Parameter] = (),
) -> None:
    """Train ``module`` in place, its ``hidden`` matrices with Muon.

    ``batch(step)`` must depend on the step alone: then a run killed at any time and started again ends in the same
    weights. ``loss`` returns the loss and figures for ``folder/log.jsonl``; ``watch(step)`` adds measured scores.
    Matrix products run in bfloat16, weights and optimiser in float32. The next batch is drawn while a step runs.
    """
    optimizers = optimizers_for(module, schedule, hidden)
    state = folder / "state.safetensors"
    first = load_state(state, module, optimizers) if state.exists() else 0
    _shorten(folder / "log.jsonl", first)
    report = progress or Silent()
    report.start(label, schedule.steps, first)
    started = time.monotonic()
    module.train()
    with (folder / "log.jsonl").open("a", encoding="utf-8") as log, ThreadPoolExecutor(1) as ahead:
        coming = ahead.submit(batch, first)
        for step in range(first, schedule.steps):
            for group in (group for optimizer in optimizers for group in optimizer.param_groups):
                group["lr"] = schedule.rate(step)
            data = coming.result()
            coming = ahead.submit(batch, step + 1)
            with torch.autocast(device.split(":")[0], dtype=torch.bfloat16):
                value, figures = loss(module, data)
            module.zero_grad(set_to_none=True)
            torch.autograd.backward(value)
            norm = nn.utils.clip_grad_norm_(module.parameters(), schedule.clip)
            for optimizer in optimizers:
                optimizer.step()
            done = step + 1
            report.advance(note=f"loss {value.item():.2f}")
            if done % schedule.log_every == 0 or done == schedule.steps:
                line: dict[str, Any] = {"step": done, "loss": round(value.item(), 5), "norm": round(float(norm), 3)}
                line |= {name: round(figure, 5) for name, figure in figures.items()}
                if watch and (done % watch_every == 0 or done == schedule.steps):
                    module.eval()
                    line |= watch(done)
                    module.train()
                line["seconds"] = round(time.monotonic() - started, 1)
                log.write(json.dumps(line) + "\n")
                log.flush()
                os.fsync(log.fileno())
            if done % schedule.save_every == 0 or done == schedule.steps:
                save_state(state, module, optimizers, done)
    module.eval()
