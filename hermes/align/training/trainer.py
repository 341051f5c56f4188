"""One round of preference training on accelerate: per-pair losses, fixed masks, exact resume."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import broadcast
from torch import Tensor

from hermes.align.losses.likelihoods import SLOTS, PairBatches, TrainPair, to_device
from hermes.align.losses.objectives import pair_loss
from hermes.align.losses.shelf import REPLAYED, Made, Shelf
from hermes.align.settings import SUPERVISED, TrainSettings
from hermes.align.training.counting import MASKED, reference_sequences, replayed_sequences, trained_sequences
from hermes.align.training.ema import MovingAverage
from hermes.align.training.finite import (
    forget,
    impossible,
    refuse_lost_reference,
    refuse_lost_weights,
    refuse_not_finite,
)
from hermes.align.training.lora import Lora
from hermes.align.training.memory import out_of_memory
from hermes.align.training.optimizers import check_optimizer, new_optimizer, set_rate
from hermes.align.training.preparing import (
    identity_of,
    likelihood_settings,
    new_accelerator,
    without_dropout,
)
from hermes.align.training.regmean import READ, Moments, Reading, dealt, fit, fitted_layers, joint, put
from hermes.align.training.schedule import Step, epochs, learning_rate, plan
from hermes.align.training.sharding import release, restore, same_weights, shard, trainable, whole
from hermes.align.training.start import distances, noise, refuse_other_start, roundings, typical
from hermes.align.training.states import States
from hermes.align.training.steplog import SUMS, StepLog, TrainingReport, means, pair_sums
from hermes.harness.contracts.model import Alignable, LikelihoodItem
from hermes.harness.records.seeds import derive_seed
from hermes.harness.system.disk import write_folder
from hermes.harness.system.errors import HermesError
from hermes.harness.system.failures import is_out_of_memory
from hermes.harness.system.fitting import Fitting
from hermes.harness.system.launch import check_launch
from hermes.harness.system.processes import current
from hermes.harness.system.progress import Progress, Silent
from hermes.harness.system.trackers import ALIGN, Log, check_trackers, tracking


def native_bf16(device: str) -> bool:
    """Whether the device multiplies bfloat16 matrices in hardware."""
    if device.startswith("cuda"):
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    check = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return device.startswith("cpu") and check is not None and bool(check())


def train(
    model: Alignable,
    pairs: Sequence[TrainPair],
    replay: Sequence[LikelihoodItem],
    settings: TrainSettings,
    folder: Path,
    progress: Progress | None = None,
) -> TrainingReport:
    """Train ``model.module`` in place; the model as it comes is also the reference.

    The loss of a step is the mean over its pairs, plus ``settings.replay`` times the mean over its replay items of
    their negative log-likelihood per token, plus ``settings.hold`` times the mean over the same items of
    `departure`, which is 0 for images (under the "replay" objective the pairs only set the number of steps).
    Neither micro-batches nor processes change it, nor whether these hold all weights (DDP) or a shard each (FSDP2).
    ``folder`` keeps train.jsonl, and a state, from which the same call goes on, with any number of processes.
    Raises HermesError where there is no pair, where the first step shows that policy and reference differ by more than
    rounding, and at the first loss or gradient that is not finite: what the folder keeps of the training is then
    removed.
    """
    check_launch()
    check_trackers(settings.trackers)
    check_optimizer(settings)
    if not pairs:
        raise HermesError("no valid preference pair to train on; lower the threshold or draw more items or candidates")
    if settings.objective == "replay" and not (replay and settings.replay):
        raise HermesError("objective 'replay' needs replay data and a replay weight above 0")
    with likelihood_settings(model, settings):
        progress = progress or Silent()
        micro = Fitting(settings.micro_batch, "training", progress.say)
        try:
            replayed = replay if settings.replays else ()
            return _Training(model, pairs, replayed, settings, folder, micro, progress).run(progress)
        except Exception as error:
            if is_out_of_memory(error):
                raise out_of_memory(error, micro.size) from error
            raise


class _Training:
    """The pieces of one training, on this process."""

    def __init__(
        self,
        model: Alignable,
        pairs: Sequence[TrainPair],
        replay: Sequence[LikelihoodItem],
        settings: TrainSettings,
        folder: Path,
        micro: Fitting,
        progress: Progress,
    ) -> None:
        self.model, self.settings, self.folder, self.micro = model, settings, folder, micro
        self.lora = Lora(model, settings, derive_seed(settings.seed, "lora")) if settings.lora_rank else None
        self.batches = PairBatches(model, pairs, settings.seed, folder, progress)
        self.epochs = epochs(len(pairs), settings)
        self.compared = 1 if settings.side_loss == SUPERVISED else self.epochs
        self.replay = Shelf(folder, REPLAYED, replay, self._made, progress)
        self.kinds = [item.kind for item in replay]
        self.holds = torch.tensor([settings.hold > 0 and kind == "text" for kind in self.kinds], dtype=torch.bool)
        self.steps = plan(len(pairs), len(replay), settings)
        self.identity = identity_of(self.batches, len(replay), settings)
        self.states = States(folder, self.identity)
        self.written = time.monotonic()
        self.due = False
        self.apart: list[dict[str, Tensor]] = []  # Of the first step, from the reference.
        self.inner = model.module
        self.fitted = fitted_layers(self.inner) if settings.regmean else {}
        self.dealt = dealt(self.fitted, current().world)
        self.accelerator = new_accelerator(self.inner)
        self.sharded = bool(self.accelerator.is_fsdp2)
        self.device: torch.device = self.accelerator.device
        self.bf16 = native_bf16(self.device.type) if settings.bf16 is None else settings.bf16
        if self.lora and settings.lora_half:
            self.lora.halve(self.bf16)
        self.rounding = roundings(self.inner, self.device, self.bf16)
        # Sharded weights are gathered by all processes or by none, so all must look at either side in every batch.
        self.together = _first_with(self.batches) if self.sharded else {}

    def _prepare(self) -> None:
        """What is trained, its optimizer, and what is kept of its start."""
        settings = self.settings
        self.trained = same_weights(self.inner) if self.sharded else self.inner
        if self.sharded:
            shard(self.trained, self.accelerator.state.fsdp_plugin.reshard_after_forward)
            release(self.inner)
        optimizer = new_optimizer(trainable(self.trained), settings, self.device)
        self.module = self.trained if self.sharded else self.accelerator.prepare_model(self.trained)
        self.optimizer = self.accelerator.prepare_optimizer(optimizer)
        if hasattr(self.module, "broadcast_buffers"):
            # DDP; buffers are constants, and processes that send them in every pass would need equally many passes.
            self.module.broadcast_buffers = False
        kept = trainable(self.trained) if settings.average else {}
        self.start = {name: value.detach().clone() for name, value in kept.items()}
        self.average = MovingAverage(self.trained, settings.ema) if settings.ema else None

    def run(self, progress: Progress) -> TrainingReport:
        """All steps that are not yet done, from the stored state if there is one."""
        was_training, folder, counted = self.inner.training, self.folder, self._counted()
        # The main process says where all go on: a shared file system may show the others what is older.
        found, total = self.states.done(), len(self.steps)
        done = current().total(found if current().main else 0)
        self._say_idle(progress)
        without_dropout(self.inner)
        self.reference, self.held = self.micro.run(self._reference), self.micro.run(self._held)
        refuse_lost_reference(self.reference, self.batches.ids)
        self.micro.size = self._least(self.micro.size)
        self.noise = {} if done or self._unchecked() else self.micro.run(self._noise)
        began = {name: joint(layer) for name, layer in self._own().items()}
        texts = self._moments("text", progress)
        self._prepare()
        if done:
            self.states.load(done, self.trained, self.optimizer.optimizer, self.average)
        log = StepLog(folder / "train.jsonl", done)
        progress.start(f"train ({self.settings.objective})", total, done)
        self.written = time.monotonic()
        try:
            with self._tracking(done) as track:
                for number in range(done, total):
                    self._one(number, total, log, track, progress)
        finally:
            self.states.wait()
        current().wait()
        self._finish(folder)
        self._fit(began, texts, self._moments("image", progress))
        self.batches.remove()
        self.replay.remove()
        self.inner.train(was_training)
        noise = {"mask_noise": self._mask_noise("gen"), "mask_noise_und": self._mask_noise("und")}
        return TrainingReport.from_log(folder / "train.jsonl", len(self.batches), noise | counted)

    def _one(self, number: int, total: int, log: StepLog, track: Log, progress: Progress) -> None:
        """One step, noted, and the state after it where that is due."""
        rate = learning_rate(number, total, self.settings)
        figures = self._gradient(self.steps[number], check=number == 0)
        with self._forgetting():
            refuse_not_finite(figures, number, total, self.settings)
            self._step(rate, number)
        log.append({"step": number, "epoch": self.steps[number].epoch, "lr": rate, **figures})
        track({"lr": rate, **figures}, number)
        last = number + 1 == total
        if last:
            with self._forgetting():
                refuse_lost_weights(self.trained, self.settings)
        every = self.settings.checkpoint_every
        if last or (self.due if every is None else (number + 1) % every == 0):
            if current().main:
                log.flush()
            behind = self.sharded and not last
            self.states.save(number + 1, self.trained, self.optimizer.optimizer, self.average, behind)
            self.written = time.monotonic()
        progress.advance(note=f"loss {figures['loss']:.3f}")

    def _made(self, items: Sequence[LikelihoodItem]) -> list[Made]:
        ready = self.model.prepare(list(items))
        return [Made(one, MASKED if self.model.with_seed(one, 0) is not one else 0) for one in ready]

    def _counted(self) -> dict[str, float | None]:
        """How many sequences are trained on, and how many the reference is asked for."""
        masks, preferred = int(getattr(self.model, "masks", 1)), self.settings.objective != "replay"
        asked = reference_sequences(self.batches, self.compared, masks) if preferred else 0
        again = [*self.holds.nonzero().flatten().tolist(), *self._read_places("text"), *self._read_places("image")]
        return {
            "sequences": trained_sequences(self.batches, self.replay, self.steps, masks, preferred),
            "references": asked + replayed_sequences(self.replay, again, masks),
        }

    def _tracking(self, done: int) -> AbstractContextManager[Log]:
        settings = self.settings
        config, cpu = settings.model_dump(), self.device.type == "cpu"
        return tracking(settings.trackers, ALIGN, self.folder, config, cpu, done, self.identity)

    def _reference(self) -> Tensor:
        """The round's reference log-probabilities, (epochs, 4, pairs); the processes share the work.

        Winners by themselves are not compared with it. What is told of them takes the first epoch's in every epoch,
        which is right on average over masks.
        """
        if self.settings.objective == "replay":
            return torch.zeros(self.epochs, 4, len(self.batches))
        rows = range(current().rank, len(self.batches), current().world)
        with self._autocast():
            table = self.batches.reference(self.inner, rows, self.compared, self.micro.size, self.device)
        current().wait()
        shared: Tensor = self.accelerator.reduce(table.to(self.device), "sum")
        return shared.expand(self.epochs, -1, -1)

    def _held(self) -> Tensor:
        """The reference's log-probabilities of the held texts, (replay items,); the processes share the work."""
        table = torch.zeros(len(self.replay), device=self.device)
        mine = self.holds.nonzero().flatten().tolist()[current().rank :: current().world]
        with torch.no_grad(), self._autocast():
            for begin in range(0, len(mine), self.micro.size):
                rows = mine[begin : begin + self.micro.size]
                batch = self.model.collate([self.replay[row] for row in rows])
                table[rows] = self.inner(to_device(batch, self.device))[0].float()
        current().wait()
        shared: Tensor = self.accelerator.reduce(table, "sum")
        return shared

    def _moments(self, kind: str, progress: Progress) -> Moments:
        """What this process's linear layers read in replayed items of a kind.

        One by one, as what is padded would be read, too.
        """
        reading, places = Reading(self._own()), self._read_places(kind)
        if places:
            progress.start(f"regmean ({kind}s)", len(places))
        with torch.no_grad(), self._autocast(), reading.listening():
            for place in places:
                self.inner(to_device(self.model.collate([self.replay[place]]), self.device))
                progress.advance()
        current().wait()
        return reading.moments()

    def _read_places(self, kind: str) -> list[int]:
        """Replayed items of a kind that RegMean reads."""
        return [place for place, found in enumerate(self.kinds) if found == kind][:READ] if self.fitted else []

    def _own(self) -> dict[str, torch.nn.Linear]:
        """The layers that this process reads and fits."""
        return {name: self.fitted[name] for name in self.dealt[current().rank]}

    def _fit(self, began: Mapping[str, Tensor], texts: Moments, images: Moments) -> None:
        """Linear layers read texts as they did when the round began, and images as they do now."""
        for name, layer in self._own().items():
            put(layer, fit(began[name], joint(layer), texts[name], images[name], self.settings.regmean))
        for rank, names in enumerate(self.dealt):
            for parameter in (each for name in names for each in self.fitted[name].parameters()):
                broadcast(parameter.detach(), from_process=rank)
        if self.fitted:
            with self._forgetting():
                refuse_lost_weights(self.inner, self.settings)

    def _gradient(self, step: Step, check: bool) -> dict[str, Any]:
        """One step's gradient; returns its figures, the same in all processes.

        Processes that share a step must make equally many passes, so there none takes fewer pairs than the others.
        """
        if current().world > 1:
            return self._passes(step, check)
        return self.micro.run(lambda: self._passes(step, check), again=self.optimizer.zero_grad)

    def _passes(self, step: Step, check: bool) -> dict[str, Any]:
        pairs = () if self.settings.objective == "replay" else step.pairs
        together = self.micro.size * current().world
        work: list[tuple[str, Sequence[int], Sequence[bool]]]
        work = [("pairs", pairs[k : k + together], ()) for k in range(0, len(pairs), together)]
        work += [("replay", rows, real) for rows, real in _chunks(step.replay, self.micro.size)]
        sums = dict.fromkeys(SUMS, torch.zeros((), dtype=torch.float64, device=self.device))
        self.apart.clear()
        for number, (kind, rows, real) in enumerate(work):
            with self._accumulating(number + 1 < len(work)):
                found = self._pairs(rows, step, check) if kind == "pairs" else self._replayed(rows, real, step)
                self.accelerator.backward(found["loss"] * current().world)
            if kind == "replay" or current().main:
                # A pair's figures are known to all processes, a replayed item's to one.
                for name, value in found.items():
                    sums[name] = sums[name] + value.detach().double()
        if self.apart:
            refuse_other_start(typical(self.apart), self.noise, self.rounding)
        norm = self.accelerator.clip_grad_norm_(self.module.parameters(), self.settings.clip or torch.inf)
        # Whether a state is due must be the same in all processes, so the clock is the main one's.
        late = current().main and time.monotonic() - self.written >= 60 * self.settings.checkpoint_minutes
        told = [*(sums[name] for name in SUMS), sums["loss"].new_tensor(float(late))]
        *total, due = self.accelerator.reduce(torch.stack(told), "sum").tolist()
        self.due = bool(due)
        return means(dict(zip(SUMS, total, strict=True))) | {"grad_norm": float(whole(norm))}

    def _step(self, rate: float, number: int) -> None:
        """One optimizer step."""
        set_rate(self.optimizer, rate)
        try:
            self.optimizer.step()
        except RuntimeError as error:
            raise impossible(error, number, self.settings) from error
        self.optimizer.zero_grad()
        if self.average:
            self.average.update()

    def _least(self, size: int) -> int:
        """The smallest of all processes' numbers."""
        least: int = min(current().gathered([size]))
        return least

    @contextmanager
    def _forgetting(self) -> Iterator[None]:
        """Where the training goes wrong, nothing stays that would keep it from beginning anew with other settings."""
        try:
            yield
        except HermesError:
            self.states.wait()
            if current().main:
                forget(self.folder)
            raise

    def _pairs(self, rows: Sequence[int], step: Step, check: bool) -> dict[str, Tensor]:
        """The loss of some of a step's pairs, whose captions and images are dealt to the processes."""
        settings, processes = self.settings, current()
        mine = self.batches.places(rows)[processes.rank :: processes.world]
        with self._autocast():
            here, counts = self.batches.log_probs(self.module, rows, step.epoch, self.device, mine)
            nothing = self._empty_passes(rows, mine, step)
        policy, counts = self._met(here, counts, mine)
        reference = self.reference[step.epoch][:, list(rows)]
        if check and not self._unchecked():
            self.apart.append(distances(self.batches, rows, policy, reference))
        pairs = self.batches.pair_log_probs(rows, policy, counts, reference)
        result = pair_loss(pairs, settings)
        return {"loss": result.total.sum() / len(step.pairs) + nothing, **pair_sums(pairs, result)}

    def _met(self, here: Tensor, counts: Tensor, mine: Sequence[tuple[int, int]]) -> tuple[Tensor, Tensor]:
        """Log-probabilities and counts, (4, pairs), of all processes; gradients go through those computed here.

        A loss is a function of four log-probabilities, whoever computed them, and its gradient the sum of what flows
        through each.
        """
        if current().world == 1:
            return here, counts
        policy, counts = self.accelerator.reduce(torch.stack([here.detach(), counts]), "sum")
        own = torch.zeros_like(here, dtype=torch.bool)
        own[[slot for slot, _ in mine], [at for _, at in mine]] = True
        return torch.where(own, here, policy), counts

    def _empty_passes(self, rows: Sequence[int], mine: Sequence[tuple[int, int]], step: Step) -> Tensor:
        """0, from a pass for each side of which this process has nothing, where the others wait for one."""
        sides = {SLOTS[slot].partition("_")[0] for slot, _ in mine}
        passes = [(row, SLOTS.index(f"{side}_winner")) for side, row in self.together.items() if side not in sides]
        if not mine and not passes:
            slot, at = self.batches.places(rows)[0]
            passes = [(rows[at], slot)]
        nothing = torch.zeros((), device=self.device)
        for row, slot in passes:
            batch = self.model.collate([self.batches.seeded(row, slot, step.epoch)])
            nothing = nothing + 0.0 * self.module(to_device(batch, self.device))[0].sum()
        return nothing

    def _say_idle(self, progress: Progress) -> None:
        """Say how many processes will have nothing to do in a step: a caption, or an image, is not divided."""
        world, replayed = current().world, len(self.steps[0].replay)
        pieces = max(len(self.batches.places(step.pairs)) for step in self.steps)
        if self.settings.objective != "replay" and pieces < world:
            progress.say(
                f"training: a step has {pieces} captions and images for {world} processes, {_waiting(world - pieces)}; "
                "give fewer processes or a larger --batch-size"
            )
        if 0 < replayed < world:
            progress.say(
                f"training: a step replays {replayed} items on {world} processes, {_waiting(world - replayed)}; "
                "give fewer processes or a larger --replay-batch"
            )

    def _unchecked(self) -> bool:
        return self.settings.reference_free or self.settings.objective == "replay"

    def _noise(self) -> dict[str, float]:
        with self._autocast():
            return noise(self.batches, self.inner, self.steps[0].pairs, self.device, self.rounding)

    def _replayed(self, rows: Sequence[int], real: Sequence[bool], step: Step) -> dict[str, Tensor]:
        items = [self.replay[row] for row in rows]
        with self._autocast():
            log_probs, counts = self.module(to_device(self.model.collate(items), self.device))
        mask = torch.tensor(real, device=self.device)
        nll = torch.where(mask, -log_probs / counts.clamp(min=1), 0.0).sum()
        texts = mask & self.holds[list(rows)].to(self.device)
        held = torch.where(texts, departure(log_probs - self.held[list(rows)]), 0.0).sum()
        return {
            "loss": (self.settings.replay * nll + self.settings.hold * held) / len(step.replay),
            "replay": nll,
            "held": held,
            "items": mask.double().sum(),
            "texts": texts.double().sum(),
        }

    def _autocast(self) -> AbstractContextManager[Any]:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16)

    def _accumulating(self, more: bool) -> AbstractContextManager[Any]:
        """Gradients of all processes meet once a step, in its last backward pass; of shards in each, so that no process
        keeps the whole gradient."""
        wait = more and not self.sharded
        context: AbstractContextManager[Any] = self.accelerator.no_sync(self.module) if wait else nullcontext()
        return context

    def _finish(self, folder: Path) -> None:
        """The moving average takes the weights' place; theta <- (1 - average) theta + average theta_start, which keeps
        later rounds from falling; the adapter is stored and merged."""
        if self.average:
            self.average.apply()
        weight = self.settings.average
        if weight:
            with torch.no_grad():
                for name, value in trainable(self.trained).items():
                    value.lerp_(self.start[name], weight)
        if self.sharded:
            restore(self.inner, self.trained)
        if self.lora:
            if current().main:
                write_folder(folder / "adapter", self.lora.save)
            self.lora.merge()

    def _mask_noise(self, side: str) -> float | None:
        """How much the masks alone move a pair's difference on a side: its standard deviation over the epochs' masks
        under the reference, in nats, mean over pairs. None for one epoch, without pairs, or of winners by themselves;
        where there are no masks 0 for images, and None for texts, which are exact in most models."""
        rows = [row for row in range(len(self.batches)) if self.batches.has(row, side)]
        alone = self.settings.objective == "replay" or self.settings.side_loss == SUPERVISED
        if self.epochs < 2 or not rows or alone:
            return None
        winner, loser = SLOTS.index(f"{side}_winner"), SLOTS.index(f"{side}_loser")
        if not any(self.batches.depends_on_masks(row, winner) for row in rows):
            return 0.0 if side == "gen" else None
        difference = self.reference[:, winner, rows] - self.reference[:, loser, rows]
        return float(difference.std(0).mean())


def departure(log_ratios: Tensor) -> Tensor:
    """How far a text's log-ratio to the reference is from 0, (B,) in nats: half its square up to 1, linear beyond.

    0 with gradient 0 at the start, so that it adds no noise of its own. Where the texts are the reference's own
    answers, the mean of half the square estimates KL(reference, policy) (Schulman 2020, the estimator "k2").
    """
    return torch.nn.functional.huber_loss(log_ratios, torch.zeros_like(log_ratios), reduction="none")


def _chunks(indices: Sequence[int], size: int) -> Iterator[tuple[list[int], list[bool]]]:
    """This process's share in micro-batches, as (indices, real); shares are padded to one length, pads are not real."""
    if not indices:
        return
    processes = current()
    length = -(-len(indices) // processes.world)
    mine = list(indices[processes.rank :: processes.world])
    padded = mine + [indices[0]] * (length - len(mine))
    real = [True] * len(mine) + [False] * (length - len(mine))
    for begin in range(0, length, size):
        yield padded[begin : begin + size], real[begin : begin + size]


def _waiting(processes: int) -> str:
    return f"so {processes} of them wait{'s' if processes == 1 else ''}"


def _first_with(batches: PairBatches) -> dict[str, int]:
    """The first pair that has a side, for each side that some pair has."""
    rows = {side: [row for row in range(len(batches)) if batches.has(row, side)] for side in ("und", "gen")}
    return {side: found[0] for side, found in rows.items() if found}
