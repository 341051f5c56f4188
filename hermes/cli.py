"""The commands: parse, call the API, print. No logic, and no heavy import before a command runs."""

import signal
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from hermes.harness.errors import HermesError

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Measure how well a unified multimodal model understands and generates, and close the gap by self-play.",
)
Model = Annotated[
    str | None, typer.Option("--model", "-m", help="A name, a checkpoint folder, or OWNER/NAME of the hub.")
]
Device = Annotated[str | None, typer.Option(help="auto, cpu, cuda or cuda:N.")]
DTypeOption = Annotated[str | None, typer.Option("--dtype", help="auto, float32, bfloat16 or float16.")]
DeviceMap = Annotated[str | None, typer.Option(help="auto spreads the weights over all GPUs; or accelerate's names.")]
Adapter = Annotated[str | None, typer.Option(help="A LoRA adapter on top: a folder or hub id in PEFT's layout.")]
Compile = Annotated[bool, typer.Option("--compile", help="Compile the model with torch.compile.")]
Out = Annotated[Path | None, typer.Option(help="The run folder. Default: runs/<model>/<run id>.")]
Fresh = Annotated[bool, typer.Option("--fresh/--resume", help="Start over, or go on where the folder ends.")]
Config = Annotated[Path | None, typer.Option(help="A TOML file of settings; the command line wins over it.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress bars.")]
Profile = Annotated[bool, typer.Option("--profile", help="Print where the time went.")]


@app.command("eval")
def eval_command(
    model: Model = None,
    tasks: Annotated[
        str | None,
        typer.Option(
            help="Names with commas, lmms:NAME for lmms-eval's; with overrides: homologous-g@guidance_scale=1"
        ),
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="shapes, hub, hub:OWNER/NAME@REVISION, a folder with <task>.jsonl, or a file.")
    ] = None,
    split: Annotated[str | None, typer.Option(help="Split of the shapes world: test or validation.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first N items of each task.")] = None,
    judge: Annotated[
        str | None, typer.Option(help="Who judges generated images: mask2former,mplug:FOLDER; `hermes list judges`.")
    ] = None,
    protocol: Annotated[str | None, typer.Option(help="official, lmms-eval, llava, corrected.")] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Requests a batch; changes no answer.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of all sampling.")] = None,
    device: Device = None,
    dtype: DTypeOption = None,
    device_map: DeviceMap = None,
    adapter: Adapter = None,
    compile: Compile = False,
    label: Annotated[str | None, typer.Option(help="Name of the row in leaderboards.")] = None,
    out: Out = None,
    fresh: Fresh = False,
    config: Config = None,
    profile: Profile = False,
    quiet: Quiet = False,
) -> None:
    """Run benchmarks on a model and print scores and gaps."""
    from hermes import terminal
    from hermes.harness.processes import current
    from hermes.harness.progress import rich_progress
    from hermes.harness.runner import evaluate
    from hermes.harness.settings import EvalSettings, build

    overrides: dict[str, Any] = {
        "model": model,
        "tasks": _split_tasks(tasks),
        "data": data,
        "split": split,
        "limit": limit,
        "judge": judge,
        "protocol": protocol,
        "batch_size": batch_size,
        "seed": seed,
        "device": device,
        "dtype": dtype,
        "device_map": device_map,
        "adapter": adapter,
        "compile": compile or None,
        "label": label,
        "out": out,
        "fresh": fresh or None,
    }
    settings = build(EvalSettings, config, overrides)
    with rich_progress(quiet) as progress:
        content = evaluate(settings, progress)
    if current().main:
        terminal.show(terminal.eval_summary(content))
        if profile:
            terminal.show(terminal.profile(content["seconds"], content["peak_memory_mb"]))
        terminal.show(f"results: {content['folder']}/results.json")


@app.command("align")
def align_command(
    model: Model = None,
    rounds: Annotated[int | None, typer.Option(min=1, help="Rounds of self-play; more of them go on.")] = None,
    objective: Annotated[
        str | None,
        typer.Option(help="sum, product, coupled, joint, softproduct, ipo, und, gen, or replay (the control)."),
    ] = None,
    items: Annotated[int | None, typer.Option(min=1, help="Homologous items a round.")] = None,
    n: Annotated[int | None, typer.Option("-n", min=2, help="Captions and images drawn for each item.")] = None,
    rule: Annotated[
        str | None, typer.Option(help="fresh, paper or released: how a round meets the one before.")
    ] = None,
    pairs: Annotated[
        Path | None, typer.Option(help="The first round's preferences: a pair_dpo_data.json, as HermesFlow released.")
    ] = None,
    critic: Annotated[str | None, typer.Option(help="Who judges candidates: self, oracle, ...")] = None,
    confidence: Annotated[
        bool | None,
        typer.Option(
            "--confidence/--no-confidence",
            help="Rank images that the critic's answers leave level by the likelihood of the right answers.",
        ),
    ] = None,
    similarity: Annotated[str | None, typer.Option(help="auto, minilm, mpnet, facts or bert-cls:CHECKPOINT.")] = None,
    lr: Annotated[float | None, typer.Option(help="Peak learning rate.")] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Passes over the pairs of a round.")] = None,
    eval_split: Annotated[str | None, typer.Option(help="Scenes to report on: test, or validation to tune.")] = None,
    eval_limit: Annotated[int | None, typer.Option(min=1, help="Only the first N items of each evaluation.")] = None,
    tasks: Annotated[str | None, typer.Option(help="Benchmarks to run after every round beside the gap.")] = None,
    data: Annotated[str | None, typer.Option(help="shapes, or a folder or file of homologous items.")] = None,
    label: Annotated[str | None, typer.Option(help="The arm's name in tables. Default: the objective.")] = None,
    judge: Annotated[
        str | None, typer.Option(help="Who judges the evaluations' images; the critic judges candidates.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of candidates, training and evaluation.")] = None,
    device: Device = None,
    dtype: DTypeOption = None,
    device_map: DeviceMap = None,
    adapter: Adapter = None,
    out: Out = None,
    fresh: Fresh = False,
    config: Config = None,
    quiet: Quiet = False,
) -> None:
    """Close the gap by Pair-DPO self-play, and evaluate after every round."""
    from hermes import terminal
    from hermes.align.recipes import recipe_path
    from hermes.align.selfplay import align
    from hermes.align.settings import AlignSettings
    from hermes.harness.processes import current
    from hermes.harness.progress import rich_progress
    from hermes.harness.settings import build

    overrides: dict[str, Any] = {
        "model": model,
        "rounds": rounds,
        "objective": objective,
        "items": items,
        "n": n,
        "rule": rule,
        "pairs": pairs,
        "critic": critic,
        "confidence": confidence,
        "similarity": similarity,
        "lr": lr,
        "epochs": epochs,
        "eval_split": eval_split,
        "eval_limit": eval_limit,
        "eval_tasks": _split_tasks(tasks),
        "data": data,
        "label": label,
        "judge": judge,
        "seed": seed,
        "device": device,
        "dtype": dtype,
        "device_map": device_map,
        "adapter": adapter,
        "out": out,
        "fresh": fresh or None,
    }
    settings = build(AlignSettings, config and recipe_path(config), overrides)
    with rich_progress(quiet) as progress:
        content = align(settings, progress)
    if current().main:
        title = f"{content['model']['name']}, {_arm_title(content)}, seed {content['seed']}"
        terminal.show(terminal.align_summary(content["rounds"], title))
        terminal.show(f"history: {content['folder']}/history.json")


def _arm_title(content: dict[str, Any]) -> str:
    arm, objective = content["arm"], content["objective"]
    return f"objective {objective}" if arm == objective else f"{arm} (objective {objective})"


@app.command("ablate")
def ablate_command(
    config: Annotated[Path, typer.Argument(help="A TOML file of arms and seeds, or a recipe: ablation.")],
    out: Annotated[Path, typer.Option(help="The folder of all self-plays and of the report.")] = Path("runs-ablation"),
    workers: Annotated[int, typer.Option(min=1, help="Self-plays side by side; each has its share of cores.")] = 1,
    quiet: Quiet = False,
) -> None:
    """Play every arm with every seed, and write the ablation table, the changes and the curves."""
    from hermes import terminal
    from hermes.align.ablate import ablate, read_ablation
    from hermes.harness.progress import rich_progress

    with rich_progress(quiet) as progress:
        content = ablate(read_ablation(config), out, workers, progress)
    terminal.show((out / "report.md").read_text(encoding="utf-8"))
    for name, why in content["failed"].items():
        typer.echo(f"failed: {name}: {why}", err=True)
    if content["failed"]:
        raise typer.Exit(1)


@app.command()
def score(
    run: Annotated[Path | None, typer.Argument(help="A run folder, or none with --task.")] = None,
    protocol: Annotated[str | None, typer.Option(help="official, lmms-eval, llava, corrected.")] = None,
    task: Annotated[str | None, typer.Option(help="The benchmark whose answers --responses holds.")] = None,
    data: Annotated[str | None, typer.Option(help="Its rows: a file or a folder; images may be absent.")] = None,
    responses: Annotated[
        Path | None, typer.Option(help="Answers made anywhere: responses.jsonl, or an official layout.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the Result record and nothing else.")] = False,
    per_sample: Annotated[Path | None, typer.Option(help="Write one Score record a line to this file.")] = None,
    judge: Annotated[str | None, typer.Option(help="Who judges images: mask2former, mplug, ...")] = None,
    pic_num: Annotated[int | None, typer.Option(help="Images in a file of an image folder: 1, or 4 in a grid.")] = None,
    resolution: Annotated[int | None, typer.Option(help="Side of one image of a grid. Default: half the grid.")] = None,
    label: Annotated[str | None, typer.Option(help="Name of the row in leaderboards. Default: answers.")] = None,
    out: Annotated[Path | None, typer.Option(help="Keep a run folder here.")] = None,
    fresh: Fresh = False,
    device: Device = None,
    quiet: Quiet = False,
) -> None:
    """Score a run's stored answers again, or answers that were made anywhere; needs no model."""
    from hermes import terminal
    from hermes.harness.external.score import ScoreSettings, refuse_mixture, score_files
    from hermes.harness.progress import rich_progress
    from hermes.harness.runner import rescore
    from hermes.harness.settings import build
    from hermes.harness.store import json_text

    options: dict[str, Any] = {
        "task": task,
        "responses": responses,
        "data": data,
        "judge": judge,
        "pic_num": pic_num,
        "resolution": resolution,
        "label": label,
        "out": out,
        "fresh": fresh or None,
        "device": device,
    }
    refuse_mixture(run, options | {"json": json or None, "per_sample": per_sample})
    with rich_progress(quiet) as progress:
        if run is not None:
            content = rescore(run, protocol or "official", progress)
        else:
            scored = score_files(build(ScoreSettings, overrides=options | {"protocol": protocol}), progress)
            content = scored.content
            if per_sample is not None:
                scored.write_scores(per_sample)
    if json:
        sys.stdout.write(json_text(scored.result))
        return
    terminal.show(terminal.eval_summary(content))
    if run is None:
        terminal.show(terminal.metrics(scored.result))
    if content["folder"] is not None:
        terminal.show(f"results: {content['folder']}/results.json")


@app.command()
def leaderboard(
    runs: Annotated[list[Path], typer.Argument(help="Run folders, or folders that hold some.")],
    format: Annotated[str, typer.Option(help="md, latex or html.")] = "md",
    out: Annotated[Path | None, typer.Option(help="Write to a file instead of the screen.")] = None,
    deltas: Annotated[bool, typer.Option("--deltas", help="Show the difference to the base row.")] = False,
    intervals: Annotated[bool, typer.Option("--intervals", help="Show 95 % intervals.")] = False,
    published: Annotated[bool, typer.Option("--published", help="Add the paper's rows, marked as quoted.")] = False,
    base: Annotated[str | None, typer.Option(help="The row that deltas are taken against.")] = None,
) -> None:
    """Write the table of all runs, for a paper or a page."""
    from hermes.leaderboards import leaderboard as table

    text = table(runs, format, deltas=deltas, intervals=intervals, published=published, base=base)
    if out is None:
        sys.stdout.write(text.rstrip("\n") + "\n")
    else:
        from hermes.harness.store import write_atomic

        write_atomic(out, text)
        typer.echo(f"written: {out}", err=True)


@app.command("list")
def list_command(
    kind: Annotated[str, typer.Argument(help="models, evaluators or judges.")],
) -> None:
    """Show what is installed, with abilities, data sizes and what each needs."""
    from hermes import terminal
    from hermes.listing import listing

    terminal.show(listing(kind))


data_app = typer.Typer(no_args_is_help=True, help="Look at a benchmark's data before it is used.")
app.add_typer(data_app, name="data")


@data_app.command("check")
def data_check(
    task: Annotated[str, typer.Argument(help="The benchmark.")],
    data: Annotated[str, typer.Option(help="A folder or a file of rows; shapes or hub.")],
    images: Annotated[bool, typer.Option("--images/--no-images", help="Decode every image.")] = True,
    json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON and nothing else.")] = False,
    quiet: Quiet = False,
) -> None:
    """Verify columns, counts, answers and images, and print a fingerprint; exit code 1 where something is wrong."""
    from hermes import terminal
    from hermes.harness.data_check import check_data
    from hermes.harness.progress import rich_progress
    from hermes.harness.store import json_text

    with rich_progress(quiet) as progress:
        found = check_data(task, data, images, progress)
    if json:
        sys.stdout.write(json_text(found.model_dump() | {"ok": found.ok}))
    else:
        terminal.show(*terminal.data_check(found))
    if not found.ok:
        raise typer.Exit(1)


@data_app.command("questions")
def data_questions(
    captions: Annotated[Path, typer.Argument(help="Captions: JSON lines, JourneyDB, TIFA or GenEval files.")],
    out: Annotated[Path, typer.Option(help="JSON lines to write; an earlier output is gone on with.")],
    by: Annotated[str, typer.Option(help="rules, given, tifa:CHECKPOINT or openai:MODEL@URL.")] = "rules",
    keep: Annotated[
        str | None, typer.Option("--filter", help="A UnifiedQA checkpoint; keeps what it answers from the caption.")
    ] = None,
    tifa_out: Annotated[Path | None, typer.Option(help="Write TIFA's question_answers format as well.")] = None,
    images: Annotated[Path | None, typer.Option(help="The folder that image paths start from.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first N captions.")] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Captions a batch.")] = 8,
    device: Device = None,
    fresh: Fresh = False,
    quiet: Quiet = False,
) -> None:
    """Make questions that follow from captions, for the gap and for align; goes on where it was stopped."""
    from hermes import terminal
    from hermes.harness.homologous.making import make_questions
    from hermes.harness.progress import rich_progress

    with rich_progress(quiet) as progress:
        made = make_questions(
            captions,
            by,
            out,
            keep=keep,
            tifa_out=tifa_out,
            images=images,
            limit=limit,
            batch_size=batch_size,
            device=device or "auto",
            fresh=fresh,
            progress=progress,
        )
    terminal.show(terminal.made_questions(made))
    terminal.show(f"questions: {out}")


@data_app.command("pairs")
def data_pairs(
    run: Annotated[Path, typer.Argument(help="The folder of a self-play.")],
    out: Annotated[Path, typer.Option(help="The file to write.")] = Path("pair_dpo_data.json"),
    number: Annotated[int, typer.Option("--round", min=1, help="The round whose preferences are written.")] = 1,
) -> None:
    """Write a round's preference pairs in the layout of HermesFlow's pair_dpo_data.json."""
    from hermes.align.exchange import write_pairs
    from hermes.align.history import round_folder
    from hermes.align.preferences import Preference, read_records

    path = round_folder(run, number) / "preferences.jsonl"
    if not path.is_file():
        raise HermesError(f"{path} is not there; give the folder of a self-play and a round that it has played")
    count = write_pairs(read_records(path, Preference), run / "media", out)
    typer.echo(f"written: {out}, {count} pairs", err=True)


@app.command("train-tiny")
def train_tiny(
    out: Annotated[Path, typer.Option(help="Folder for the weights and the log.")] = Path("hermes-tiny-retrained"),
    seed: Annotated[int, typer.Option(help="Seed of data and weights.")] = 0,
    device: Device = None,
    scale: Annotated[float, typer.Option(help="Share of the full training; 1 is what the package ships.")] = 1.0,
    quiet: Quiet = False,
) -> None:
    """Train hermes-tiny from nothing, as the shipped weights were."""
    from hermes.harness.environment import pick_device
    from hermes.harness.models.tiny.train import train_tiny as train
    from hermes.harness.progress import rich_progress

    with rich_progress(quiet) as progress:
        train(out, seed=seed, device=pick_device(device or "auto"), scale=scale, progress=progress)
    typer.echo(f"evaluate it: hermes eval --model {out}")


def _split_tasks(text: str | None) -> tuple[str, ...] | None:
    """ "a,b@x=1,y=2,c" to ("a", "b@x=1,y=2", "c"): a part with "=" and no "@" belongs to the task before it."""
    if text is None:
        return None
    tasks: list[str] = []
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        if "=" in part and "@" not in part and tasks and "@" in tasks[-1]:
            tasks[-1] += f",{part}"
        else:
            tasks.append(part)
    return tuple(tasks)


def _stop(*_: object) -> None:
    sys.stderr.write("\nhermes: stopped; the same command goes on where it was\n")
    raise SystemExit(130)


def main() -> None:
    """Run a command; a HermesError is one line on stderr and exit code 2, Ctrl-C one line and 130."""
    signal.signal(signal.SIGINT, _stop)
    try:
        app()
    except HermesError as error:
        sys.stderr.write(f"hermes: {' '.join(str(error).split())}\n")
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
