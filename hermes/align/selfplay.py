"""Pair-DPO self-play: rounds of candidates, preferences, training and evaluation, resumable at any point."""

import hashlib
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, cast

from hermes.align import candidates, preferences
from hermes.align.confidence import rate_images, read_confidences
from hermes.align.exchange import pair_candidates, read_pairs
from hermes.align.history import round_entry, round_folder, write_history
from hermes.align.items import Item, ItemSource
from hermes.align.likelihoods import TrainPair
from hermes.align.preparing import check_trackers
from hermes.align.replay import homologous, shapes_lessons
from hermes.align.schedule import plan
from hermes.align.settings import AlignSettings, TrainSettings
from hermes.align.sharing import Shared
from hermes.align.steplog import TrainingReport
from hermes.align.trainer import native_bf16, train
from hermes.harness import registry
from hermes.harness.data import Data
from hermes.harness.environment import pick_device
from hermes.harness.errors import HermesError
from hermes.harness.images import ImageHandle
from hermes.harness.models.base import Alignable, LikelihoodItem
from hermes.harness.models.options import options_of
from hermes.harness.plan import Task, check_judge, run_id
from hermes.harness.processes import current
from hermes.harness.progress import Progress, Silent
from hermes.harness.runner import draw, evaluate, load_judges, load_model, open_run
from hermes.harness.scoring import judge_responses
from hermes.harness.seeds import derive_seed
from hermes.harness.settings import EvalSettings
from hermes.harness.shapes.scene import Split
from hermes.harness.similarity import resolve, similarity
from hermes.harness.store import Journal, ResponseStore, locked, read_json, write_atomic, write_json, write_jsonl
from hermes.harness.types import SCHEMA_VERSION, DataInfo, Judgement, Response

UNDERSTANDING, GENERATION = "homologous-u", "homologous-g"


def align(settings: AlignSettings, progress: Progress | None = None) -> dict[str, Any]:
    """Play ``settings.rounds`` rounds, going on from whatever the folder holds; returns what history.json holds.

    Round 0 evaluates the base model. Round r draws candidates from the model of round r - 1, which is also the
    reference, trains on the preferences among them, and evaluates. With ``settings.patience`` it ends early, after that
    many rounds whose gap on validation items is not below the best. The folder is under the key "folder". Raises
    HermesError for settings that do not fit the model, and for a folder of another self-play.
    """
    cls = registry.model_class(settings.model)
    if not cls.alignable:
        raise HermesError(
            f"model {settings.model!r} cannot be trained by preferences; `hermes list models` shows which can"
        )
    asker, drawer = (registry.load_class("evaluators", name)() for name in (UNDERSTANDING, GENERATION))
    source = ItemSource(asker, drawer, settings, cls)
    settings = resolved(settings, source.world, cls)
    judge = registry.load_class("judges", settings.critic)
    check_judge(settings.critic)
    check_trackers(settings.trackers)
    model = cast(Alignable, load_model(settings.model, settings.device, options_of(settings), progress))
    info, items = model.info.model_dump(mode="json"), source.fingerprint()
    spec = {
        "schema": SCHEMA_VERSION,
        "model": info["fingerprint"],
        "items": items,
        "evaluators": {asker.name: asker.version, drawer.name: drawer.version},
        "critic": getattr(judge, "identity", settings.critic),
        "settings": settings.identity(),
    }
    if settings.pairs:
        spec["pairs"] = _file_hash(settings.pairs)
    folder = settings.out or settings.runs / model.info.name / f"align-{run_id(spec)}"
    with ExitStack() as stack:
        if current().main:
            stack.enter_context(locked(folder))
            open_run(folder, spec, settings.fresh)
        current().wait()
        begin = {name: spec[name] for name in ("model", "items", "evaluators", "critic")}
        game = SelfPlay(settings, folder, model, source, begin, progress or Silent())
        for number in range(settings.rounds + 1):
            game.play(number)
            if current().main:
                write_history(folder, run_id(spec), info, settings)
            current().wait()
            if game.exhausted(number):
                break
        if current().main:
            _write_reports(folder)
    content: dict[str, Any] = read_json(folder / "history.json")
    return content | {"folder": folder}


def resolved(settings: AlignSettings, world: str, cls: Any) -> AlignSettings:
    """The settings with what "auto" and None mean here, so that the align id holds it."""
    bf16 = native_bf16(pick_device(settings.device)) if settings.bf16 is None else settings.bf16
    guidance = settings.eval_guidance
    return settings.model_copy(
        update={
            "similarity": resolve(settings.similarity, world),
            "bf16": bf16,
            "fresh_items": settings.changes_items,
            "eval_guidance": getattr(cls, "best_guidance", None) if guidance is None else guidance,
        }
    )


class SelfPlay:
    """One self-play in one folder. Every phase of a round has one output and is skipped where that exists."""

    def __init__(
        self,
        settings: AlignSettings,
        folder: Path,
        base: Alignable,
        source: ItemSource,
        begin: Mapping[str, Any],
        progress: Progress,
    ) -> None:
        """``begin``: model, items, evaluators and critic as the align id has them."""
        self.settings, self.folder, self.source, self.progress = settings, folder, source, progress
        self.media = folder / "media"
        self.name = base.info.name
        self._loaded: tuple[int, Alignable] | None = (0, base)
        self.shared, self.begin = Shared(settings.share), {**begin, "dtype": base.info.dtype}

    def play(self, number: int) -> None:
        """One round, from whatever of it is done, to its round.json."""
        home = round_folder(self.folder, number)
        if (home / "round.json").exists():
            return
        if number == 1 and self.settings.pairs:
            self._phase(home, "preferences", home / "preferences.jsonl", lambda: self._read_pairs(home))
        elif number:
            self._phase(home, "candidates", home / "candidates.jsonl", lambda: self._draw(number, home))
            self._phase(home, "preferences", home / "preferences.jsonl", lambda: self._prefer(number, home))
        if number:
            self._phase(home, "training", home / "checkpoint", lambda: self._train(number, home))
        self._phase(home, "evaluation", home / "evaluation" / "results.json", lambda: self._evaluate(number, home))
        if current().main:
            report = TrainingReport.model_validate(read_json(home / "training.json")) if number else None
            drops = read_json(home / "drops.json") if number else {}
            results = read_json(home / "evaluation" / "results.json")
            write_json(home / "round.json", round_entry(number, results, self._guided(), report, drops, _seconds(home)))
            (home / "training" / "state.safetensors").unlink(missing_ok=True)
        current().wait()

    def _phase(self, home: Path, name: str, output: Path, work: Callable[[], None]) -> None:
        done = output.exists()
        current().wait()
        if done:
            return
        begin = time.perf_counter()
        work()
        current().wait()
        if current().main:
            write_json(home / "seconds.json", _seconds(home) | {name: round(time.perf_counter() - begin, 2)})

    def _draw(self, number: int, home: Path) -> None:
        """Captions and images of every item from the model of the round before, scored."""
        settings, model = self.settings, self._model(number - 1)
        items, seed = self.source.of_round(number), derive_seed(settings.seed, number, "round")
        drawn = self._shared_key("n", "n_images", "guidance", "caption_prompt", "caption_tokens")
        if number == 1 and current().main:
            self.shared.take(drawn, home / "candidates", self.media)
        current().wait()
        captions, images = self._stores(home)
        defaults = model.info.defaults
        wanted = candidates.caption_requests(
            items, settings.n, settings.caption_prompt, defaults, settings.caption_tokens, seed
        )
        texts = self._ask(model, wanted, captions, f"captions, round {number}")
        wanted = candidates.image_requests(items, settings.n_images or settings.n, defaults, settings.guidance, seed)
        pictures = self._ask(model, wanted, images, f"images, round {number}")
        task = self._judging(items)
        critic = load_judges([task], model, settings.device)[settings.critic]
        distinct = candidates.distinct_images(pictures)
        judge_responses(task, distinct, images, critic, self.progress)
        judgements = Journal(images.journal.folder, "judgements", Judgement).read()
        if settings.confidence:
            judged = [one for one in distinct if judgements[one.sample_id, one.index].error is None]
            rate_images(model, items, judged, images, settings.batch_draw, self.progress)
        if current().main:
            self.progress.start(f"similarity ({settings.similarity})", len(texts))
            found = candidates.caption_candidates(items, texts, similarity(settings.similarity), number)
            self.progress.advance(len(texts))
            sure = read_confidences(images) if settings.confidence else None
            found += candidates.image_candidates(items, pictures, judgements, self.source.drawer, number, sure)
            if number == 1:
                self.shared.leave(drawn, home / "candidates", self.media)
            write_jsonl(home / "candidates.jsonl", found)

    def _read_pairs(self, home: Path) -> None:
        """The first round's preferences from a file, as the released scripts leave it."""
        if current().main and self.settings.pairs:
            keep = self._stores(home)[1].keep_image
            settings = self.settings
            kept, drops = read_pairs(
                self.settings.pairs,
                keep,
                settings.caption_prompt,
                threshold=settings.threshold,
                pairing=settings.pairing,
                objective=settings.objective,
            )
            write_jsonl(home / "candidates.jsonl", pair_candidates(kept))
            write_json(home / "drops.json", drops)
            write_jsonl(home / "preferences.jsonl", kept)

    def _prefer(self, number: int, home: Path) -> None:
        """Preference pairs from this round's candidates and, under a raise-the-bar rule, those before."""
        if not current().main:
            return
        settings = self.settings
        rounds = [
            preferences.read_records(round_folder(self.folder, r) / "candidates.jsonl", preferences.Candidate)
            for r in range(1, number + 1)
        ]
        captions, images = self._stores(home)
        items = {item.id: (images.keep_image(item.image.open()), item.caption) for item in self.source.of_round(number)}
        kept, drops = preferences.build(
            items,
            preferences.raise_bars(rounds, settings.rule),
            number=number,
            prompt=settings.caption_prompt,
            threshold=settings.threshold,
            pairing=settings.pairing,
            objective=settings.objective,
        )
        failed = sum(answer.status == "error" for store in (captions, images) for answer in store.read().values())
        write_json(home / "drops.json", drops | ({"candidate errors": failed} if failed else {}))
        write_jsonl(home / "preferences.jsonl", kept)

    def _train(self, number: int, home: Path) -> None:
        """From the model of the round before to this round's checkpoint."""
        model = self._model(number - 1)
        kept = preferences.read_records(home / "preferences.jsonl", preferences.Preference)
        pairs = [train_pair(preference, self.media) for preference in kept]
        fields = {name: getattr(self.settings, name) for name in TrainSettings.model_fields}
        settings = TrainSettings(**fields | {"seed": derive_seed(self.settings.seed, number, "training")})
        self._loaded = None
        report = train(model, pairs, self._replay(number, len(pairs)), settings, home / "training", self.progress)
        if current().main:
            write_json(home / "training.json", report)
            part = home / "checkpoint.part"
            shutil.rmtree(part, ignore_errors=True)
            model.save(part)
            part.rename(home / "checkpoint")

    def _evaluate(self, number: int, home: Path) -> None:
        settings, guided, out = self.settings, self._guided(), home / "evaluation"
        tasks = (UNDERSTANDING, GENERATION, *([guided] if guided else []), *settings.eval_tasks)
        asked = {"tasks": tasks, **self._shared_key("eval_split", "eval_limit", "judge")}
        if not number and current().main:
            self.shared.take(asked, out, out / "media")
        current().wait()
        self._measure(number, tasks, settings.eval_split, out)
        if not number and current().main:
            self.shared.leave(asked, out, out / "media")

    def _measure(self, number: int, tasks: tuple[str, ...], split: Split, out: Path) -> None:
        settings = self.settings
        evaluate(
            EvalSettings(
                model=self._reference(number),
                tasks=tasks,
                data=settings.data,
                split=split,
                limit=settings.eval_limit,
                judge=settings.judge,
                seed=settings.seed,
                batch_size=settings.batch_draw,
                device=settings.device,
                out=out,
                label=f"{self.name}, round {number} ({settings.label or settings.objective}, seed {settings.seed})",
            ),
            self.progress,
            self._model(number),
        )

    def exhausted(self, number: int) -> bool:
        """Whether as many rounds as ``patience`` says, up to this one, left the validation gap above its best.

        Measures it, for this round and for those before that were played without patience.
        """
        patience = self.settings.patience
        if not patience:
            return False
        gaps = [self._validation_gap(n) for n in range(number + 1)]
        return len(gaps) - 1 - min(range(len(gaps)), key=gaps.__getitem__) >= patience

    def _validation_gap(self, number: int) -> float:
        home = round_folder(self.folder, number)
        out, tasks = home / "validation", (UNDERSTANDING, GENERATION)
        self._phase(home, "validation", out / "results.json", lambda: self._measure(number, tasks, "validation", out))
        gap = read_json(out / "results.json")["gap"]["homologous"]
        if gap is None:
            raise HermesError(f"{out}: the validation holds no homologous gap; leave patience out")
        return float(gap["gap"]["value"])

    def _shared_key(self, *names: str) -> dict[str, Any]:
        """What answers before the first training depend on: where the self-play begins, and the settings named."""
        every = ("seed", "items", "fresh_items", "data", *names)
        return {"begin": self.begin, **{name: getattr(self.settings, name) for name in every}}

    def _model(self, number: int) -> Alignable:
        """The model after round ``number``, as its checkpoint holds it."""
        if self._loaded is None or self._loaded[0] != number:
            self._loaded = None
            options = options_of(self.settings)
            if number:  # The adapter is in the checkpoint's weights already.
                options = options.model_copy(update={"adapter": None})
            loaded = load_model(self._reference(number), self.settings.device, options)
            self._loaded = (number, cast(Alignable, loaded))
        return self._loaded[1]

    def _reference(self, number: int) -> str:
        return str(round_folder(self.folder, number) / "checkpoint") if number else self.settings.model

    def _replay(self, number: int, pairs: int) -> list[LikelihoodItem]:
        settings = self.settings
        count = len(plan(pairs, 1, settings)) * settings.replay_batch if settings.replays else 0
        seed = derive_seed(settings.seed, number, "replay")

        def drawn(count: int) -> list[LikelihoodItem]:
            if self.source.world == "shapes":
                return shapes_lessons(count, seed)
            return homologous(self.source.of_round(number), settings.caption_prompt, count, seed)

        if settings.replay:
            return drawn(count)
        return [item for item in drawn(2 * count) if item.kind == "text"]  # Images, every other item, are not held.

    def _stores(self, home: Path) -> tuple[ResponseStore, ResponseStore]:
        rank = current().rank
        folders = (home / "candidates" / "captions", home / "candidates" / "images")
        return ResponseStore(folders[0], self.media, rank), ResponseStore(folders[1], self.media, rank)

    def _ask(self, model: Alignable, requests: Sequence[Any], store: ResponseStore, label: str) -> list[Response]:
        return draw(model, requests, store, self.settings.batch_draw, self.progress, label)

    def _judging(self, items: Sequence[Item]) -> Task:
        samples = tuple(item.generation for item in items)
        size, source = len(samples), self.source
        info = DataInfo(source=source.source, fingerprint="", n=size, n_expected=size, world=source.world)
        return Task("candidates", self.source.drawer, {}, Data(samples, info), self.settings.critic)

    def _guided(self) -> str | None:
        guidance = self.settings.eval_guidance
        return None if guidance is None else f"{GENERATION}@guidance_scale={guidance:g}"


def train_pair(preference: preferences.Preference, media: Path) -> TrainPair:
    """A preference as the likelihood items that it is trained on; both sides belong to one homologous item."""

    def stored(digest: str | None) -> ImageHandle:
        return ImageHandle(media / f"{digest}.png", where=f"{media / str(digest)}.png ({preference.item_id})")

    und, gen = preference.und, preference.gen
    captions, images = None, None
    if und:
        real = stored(preference.image)
        captions = (
            LikelihoodItem("text", preference.prompt, real, und.winner.text or ""),
            LikelihoodItem("text", preference.prompt, real, und.loser.text or ""),
        )
    if gen:
        images = (
            LikelihoodItem("image", preference.caption, stored(gen.winner.image)),
            LikelihoodItem("image", preference.caption, stored(gen.loser.image)),
        )
    return TrainPair(preference.item_id, captions, images)


def _file_hash(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    except OSError as error:
        raise HermesError(f"{path} cannot be read ({error.strerror}); give a pair_dpo_data.json") from None


def _seconds(home: Path) -> dict[str, float]:
    path = home / "seconds.json"
    return read_json(path) if path.exists() else {}


def _write_reports(folder: Path) -> None:
    from hermes.leaderboards.gallery import gallery_html
    from hermes.leaderboards.report import report_html, report_markdown

    for home in folder.glob("round-*"):
        if (home / "preferences.jsonl").exists():
            write_atomic(home / "pairs.html", gallery_html(home, folder / "media"))
    write_atomic(folder / "report.md", report_markdown(folder))
    write_atomic(folder / "report.html", report_html(folder))
