"""The commands: parse, call the API, print. No logic, and no heavy import before a command runs."""

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from hermes.exits import leave, stop
from hermes.harness.system.errors import HermesError
from hermes.harness.system.text import put, remark, say
from hermes.options import from_settings

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"max_content_width": 110, "help_option_names": ["-h", "--help"]},
    help="Measure how well a unified multimodal model understands and generates, and close the gap by self-play.",
)
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
Format = Annotated[
    str | None,
    typer.Option(
        help="md, latex, html, csv or json; without it as --out is called, a table on a terminal, md in a pipe."
    ),
]
Fresh = Annotated[bool, typer.Option("--fresh/--resume", help="Start over, or go on with what is there.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be done and what it takes; load nothing.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as one JSON document and nothing else.")]
Out = Annotated[Path | None, typer.Option(help="Write to a file instead of the screen.")]
Plugin = Annotated[
    list[Path] | None,
    typer.Option(help="A Python file with a benchmark, a model or a judge of your own; may be given several times."),
]
TrainingSeed = Annotated[int, typer.Option("--seed", help="Seed of data and weights.")]
TrainingScale = Annotated[
    float, typer.Option("--scale", help="Share of the full training; 1 is what the package ships.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing on the way: only the result, or an error.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Say more: data, files, batches, answers reused.")]


def _version(wanted: bool) -> None:
    if wanted:
        from hermes import __version__

        put(f"hermes {__version__}\n")
        raise typer.Exit


def _names(context: typer.Context) -> list[str]:
    from hermes.listing import names

    return names(str(context.params.get("kind")))


@app.callback()
def main_options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None: ...


@app.command("eval", cls=from_settings("hermes.harness.run.settings:EvalSettings"))
def eval_command(
    context: typer.Context,
    config: Annotated[
        Path | None, typer.Option(help="A TOML file of settings, or a recipe by name: one-base. Options override it.")
    ] = None,
    profile: Annotated[bool, typer.Option("--profile", help="Print where the time went.")] = False,
    dry_run: DryRun = False,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Run benchmarks on a model and print scores and gaps."""
    from hermes import terminal
    from hermes.commands import document, evaluate
    from hermes.harness.run.chosen import settings_for
    from hermes.harness.run.failing import refuse_nothing
    from hermes.harness.system.disk import json_text
    from hermes.harness.system.processes import current
    from hermes.harness.system.progress import watched

    settings = settings_for(context.obj, config)
    if dry_run:
        from hermes.harness.run.forecast import forecast

        with watched("eval", quiet, verbose) as progress:
            coming = forecast(settings, progress)
        if json:
            put(json_text(coming.model_dump(mode="json")))
        else:
            terminal.show(terminal.eval_forecast(coming))
        return
    with watched("eval", quiet, verbose) as progress:
        content = evaluate(settings, progress)
    if not current().main:
        return
    if json:
        put(json_text(document(content)))
    else:
        terminal.show(terminal.eval_summary(content))
        if profile:
            terminal.show(terminal.profile(content["seconds"], content["peak_memory_mb"]))
        terminal.show(terminal.answers(content["drawn"]))
        terminal.show(f"results: {content['folder']}/results.json", f"report: {content['folder']}/report.html")
    refuse_nothing(content["results"])


@app.command("align", cls=from_settings("hermes.align.settings:AlignSettings"))
def align_command(
    context: typer.Context,
    config: Annotated[
        Path | None, typer.Option(help="A TOML file of settings, or a recipe by name. Options override it.")
    ] = None,
    dry_run: DryRun = False,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Close the gap by self-play.

    By Pair-DPO, or by training on the best, as the model's recipe says. Evaluates after every round.
    """
    from hermes import terminal
    from hermes.align.play.chosen import settings_for
    from hermes.align.play.selfplay import align
    from hermes.commands import document
    from hermes.harness.system.disk import json_text
    from hermes.harness.system.processes import current
    from hermes.harness.system.progress import watched
    from hermes.leaderboards.read import HISTORY, read_history

    settings = settings_for(context.obj, config)
    if dry_run:
        from hermes.align.play.forecast import forecast

        with watched("align", quiet, verbose) as progress:
            coming = forecast(settings, progress)
        if json:
            put(json_text(coming.model_dump(mode="json")))
        else:
            terminal.show(terminal.align_forecast(coming))
        return
    with watched("align", quiet, verbose) as progress:
        content = align(settings, progress)
    if not current().main:
        return
    if json:
        put(json_text(document(content)))
    else:
        title = f"{content['model']['name']}, {_arm_title(content)}, seed {content['seed']}"
        terminal.show(terminal.align_summary(read_history(content["folder"] / HISTORY), title))
        terminal.show(f"history: {content['folder']}/history.json", f"report: {content['folder']}/report.html")


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
    """Run an ablation: play every arm with every seed.

    The folder gets a report: what each arm reaches, the rounds, the changes and the curves.
    """
    from hermes import terminal
    from hermes.align.play.ablate import ablate, read_ablation
    from hermes.harness.system.progress import watched

    with watched("ablate", quiet) as progress:
        content = ablate(read_ablation(config), out, workers, progress)
    terminal.show((out / "report.md").read_text(encoding="utf-8"))
    for name, why in content["failed"].items():
        say(f"failed: {name}: {why}")
    terminal.show(f"report: {out}/report.md")
    if content["failed"]:
        raise typer.Exit(1)


@app.command(cls=from_settings("hermes.harness.run.outside.score:ScoreSettings"))
def score(
    context: typer.Context,
    run: Annotated[Path | None, typer.Argument(help="A run folder; without one, give --task and --responses.")] = None,
    json: Json = False,
    per_sample: Annotated[Path | None, typer.Option(help="Write one Score record a line to this file.")] = None,
    quiet: Quiet = False,
) -> None:
    """Score a run's stored answers again, or answers from files.

    Needs no model.
    """
    from hermes import terminal
    from hermes.commands import rescore, score_files
    from hermes.harness.run.failing import refuse_nothing
    from hermes.harness.run.outside.score import ScoreSettings, refuse_mixture
    from hermes.harness.system.disk import json_text
    from hermes.harness.system.progress import watched
    from hermes.harness.system.settings import build

    protocol = context.obj.pop("protocol", None)
    refuse_mixture(run, context.obj | {"json": json or None, "per_sample": per_sample})
    with watched("score", quiet) as progress:
        if run is not None:
            content = rescore(run, protocol or "official", progress)
        else:
            scored = score_files(build(ScoreSettings, overrides=context.obj | {"protocol": protocol}), progress)
            content = scored.content
            if per_sample is not None:
                scored.write_scores(per_sample)
    if json:
        if scored.cut:
            remark(scored.cut)
        put(json_text(scored.result))
        refuse_nothing(content["results"])
        return
    terminal.show(terminal.eval_summary(content))
    if run is None:
        terminal.show(terminal.metrics(scored.result))
        if scored.cut:
            terminal.show(scored.cut)
    if content["folder"] is not None:
        terminal.show(f"results: {content['folder']}/results.json", f"report: {content['folder']}/report.html")
    refuse_nothing(content["results"])


@app.command()
def leaderboard(
    runs: Annotated[list[Path], typer.Argument(help="Run folders, or folders that hold some.")],
    format: Format = None,
    out: Out = None,
    table: Annotated[
        str | None,
        typer.Option(
            help="Fill a table of the HermesFlow paper: paper-understanding, paper-geneval, paper-dpg, paper-gap or "
            "paper-ablation."
        ),
    ] = None,
    columns: Annotated[
        str | None, typer.Option(help="The columns to show, by title or task, in this order: gap,pope,geneval.")
    ] = None,
    rows: Annotated[
        list[str] | None,
        typer.Option(help="The rows to show: a label, a run id or a pattern (show-o*); may be given several times."),
    ] = None,
    sort: Annotated[str | None, typer.Option(help="The column to sort by, best first.")] = None,
    precision: Annotated[int | None, typer.Option(min=0, help="Digits after the point of measured numbers.")] = None,
    deltas: Annotated[bool, typer.Option("--deltas", help="Add the paired differences to the base row.")] = False,
    base: Annotated[
        str | None, typer.Option(help="The row that differences are taken to; the first without it.")
    ] = None,
    intervals: Annotated[bool, typer.Option("--intervals", help="Show 95 % intervals.")] = False,
    published: Annotated[bool, typer.Option("--published", help="Add the paper's rows, marked as quoted.")] = False,
) -> None:
    """Show the table of all runs, for a screen, a page or a paper."""
    from hermes.options import split_tasks
    from hermes.showing import show_leaderboard

    show_leaderboard(
        runs,
        format,
        out,
        intervals=intervals,
        table=table,
        columns=split_tasks(columns or ""),
        rows=tuple(rows or ()),
        sort=sort,
        precision=precision,
        deltas=deltas,
        base=base,
        published=published,
    )


@app.command()
def compare(
    runs: Annotated[list[Path], typer.Argument(help="Run folders; the others are held against the first.")],
    format: Format = None,
    out: Out = None,
    every: Annotated[
        bool, typer.Option("--all", help="Show every category, not only those that differ beyond their interval.")
    ] = False,
    samples: Annotated[int, typer.Option(min=0, help="Show so many flipped samples of each benchmark.")] = 5,
    json: Json = False,
    plugin: Plugin = None,
) -> None:
    """Hold runs against the first, item by item.

    Shows paired differences and the samples that one got right and another wrong.
    """
    from hermes.showing import show_comparison

    show_comparison(runs, "json" if json else format, out, every=every, samples=samples, plugins=plugin or ())


@app.command()
def push(
    folder: Annotated[Path, typer.Argument(help="The folder of a checkpoint or an adapter.")],
    repository: Annotated[str, typer.Argument(metavar="OWNER/NAME", help="Where it goes on the hub.")],
    private: Annotated[bool, typer.Option("--private", help="Make the repository private.")] = False,
    revision: Annotated[str | None, typer.Option(help="The branch to push to. Default: main.")] = None,
    quiet: Quiet = False,
) -> None:
    """Upload a checkpoint with its card to the Hugging Face hub.

    HF_TOKEN and HF_ENDPOINT say as whom and to which hub.
    """
    from hermes.harness.models.push import planned
    from hermes.harness.models.push import push as upload

    wanted = planned(folder, repository, private, revision)
    if not quiet:
        say(str(wanted))
    put(f"pushed: {upload(wanted, quiet)}\n")


@app.command()
def view(
    runs: Annotated[list[Path] | None, typer.Argument(help="Folders of runs. Default: runs.")] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="The port. Default: 8484 or the next.")] = None,
    static: Annotated[Path | None, typer.Option(help="Write the pages as files to this folder instead.")] = None,
    no_open: Annotated[bool, typer.Option("--no-open", help="Do not open the browser.")] = False,
    quiet: Quiet = False,
) -> None:
    """Look at answers and pictures in the browser.

    The page is on this machine's own address, which no other machine can reach.
    """
    from hermes.viewer.site import Site

    paths = runs or [Path("runs")]
    if static is None:
        from hermes.viewer.server import serve

        serve(Site(paths), port, not no_open)
        return
    from hermes.harness.system.progress import watched
    from hermes.viewer.static import write_site

    with watched("view", quiet) as progress:
        count = write_site(Site(paths, live=False), static, progress)
    say(f"written: {static / 'index.html'}, {count} files of data beside it")


@app.command()
def export(
    run: Annotated[Path, typer.Argument(help="A run folder, or a folder that holds some.")],
    format: Annotated[str, typer.Option(help="parquet, csv, jsonl or inspect.")] = "parquet",
    out: Annotated[Path | None, typer.Option(help="The file, a folder for inspect. Default: named as the run.")] = None,
    quiet: Quiet = False,
) -> None:
    """Write every answer with its sample and score as a table.

    With inspect: logs that the viewer of inspect_ai opens, one a task.
    """
    from hermes.harness.system.progress import watched
    from hermes.viewer.export import export as write

    with watched("export", quiet) as progress:
        path, count = write(run, format, out, progress)
    say(f"written: {path}, {count} answers")


@app.command("list")
def list_command(
    kind: Annotated[
        str,
        typer.Argument(
            help="models, evaluators, judges, objectives, sides or recipes.",
            autocompletion=lambda: ["models", "evaluators", "judges", "objectives", "sides", "recipes"],
        ),
    ],
    name: Annotated[str | None, typer.Argument(help="One of them, to see all of it.", autocompletion=_names)] = None,
    plugin: Plugin = None,
    json: Json = False,
) -> None:
    """Show models, evaluators, judges, objectives, recipes, or one."""
    from hermes.harness.system.disk import json_text
    from hermes.listing import facts, facts_of

    found = facts_of(kind, name, plugin or ()) if name else facts(kind, plugin or ())
    if json:
        put(json_text(found))
        return
    from hermes import terminal
    from hermes.listed import long, short

    terminal.show(*([short(kind, found)] if isinstance(found, list) else long(kind, found)))


data_app = typer.Typer(no_args_is_help=True, help="Work with data: check it, make questions, write pairs.")
app.add_typer(data_app, name="data")


@data_app.command("check")
def data_check(
    task: Annotated[str, typer.Argument(help="The benchmark.")],
    data: Annotated[str, typer.Option(help="A folder or a file of rows; shapes or hub.")],
    images: Annotated[bool, typer.Option("--images/--no-images", help="Decode every image.")] = True,
    plugin: Plugin = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Check the data of a benchmark and print its fingerprint.

    Looks at columns, counts, answers and images. The exit code is 1 if something is wrong.
    """
    from hermes import terminal
    from hermes.harness.data.check import check_data
    from hermes.harness.system.disk import json_text
    from hermes.harness.system.progress import watched

    with watched("data check", quiet) as progress:
        found = check_data(task, data, images, progress, plugin or ())
    if json:
        put(json_text(found.model_dump() | {"ok": found.ok}))
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
    device: Device = "auto",
    fresh: Fresh = False,
    quiet: Quiet = False,
) -> None:
    """Make questions that follow from captions.

    They serve the gap and align. A stopped command goes on where it was.
    """
    from hermes import terminal
    from hermes.harness.questions.making import make_questions
    from hermes.harness.system.progress import watched

    with watched("data questions", quiet) as progress:
        made = make_questions(
            captions,
            by,
            out,
            keep=keep,
            tifa_out=tifa_out,
            images=images,
            limit=limit,
            batch_size=batch_size,
            device=device,
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
    """Write a round's preference pairs to a file.

    The layout is that of HermesFlow's pair_dpo_data.json.
    """
    from hermes.align.pairs.exchange import write_pairs
    from hermes.align.pairs.preferences import Preference, read_records
    from hermes.align.play.history import round_folder

    path = round_folder(run, number) / "preferences.jsonl"
    if not path.is_file():
        raise HermesError(f"{path} is not there; give the folder of a self-play and a round that it has played")
    count = write_pairs(read_records(path, Preference), run / "media", out)
    say(f"written: {out}, {count} pairs")


judge_app = typer.Typer(no_args_is_help=True, help="Work with judges: check one against what is known.")
app.add_typer(judge_app, name="judge")


@judge_app.command("check", cls=from_settings("hermes.harness.run.judge_check:CheckSettings"))
def judge_check(context: typer.Context, json: Json = False, quiet: Quiet = False) -> None:
    """Hold a judge against pictures of which it is known what it should say.

    Prints agreement, false accepts and rejects and kappa, over all and by category. Its judgements are kept.
    """
    from hermes import terminal
    from hermes.harness.run.judge_check import CheckSettings, check_the_judge
    from hermes.harness.system.disk import json_text
    from hermes.harness.system.progress import watched
    from hermes.harness.system.settings import build

    with watched("judge check", quiet) as progress:
        found = check_the_judge(build(CheckSettings, overrides=context.obj), progress)
    if json:
        put(json_text(found.model_dump(mode="json")))
    else:
        terminal.show(*terminal.judge_check(found))


@app.command("train-tiny")
def train_tiny(
    out: Annotated[Path, typer.Option(help="Folder for the weights and the log.")] = Path("hermes-tiny-retrained"),
    seed: TrainingSeed = 0,
    device: Device = "auto",
    scale: TrainingScale = 1.0,
    quiet: Quiet = False,
) -> None:
    """Train hermes-tiny from nothing, as the shipped weights were."""
    from hermes.harness.models.tiny.train import train_tiny as train

    _train(train, out, seed, device, scale, quiet)


@app.command("train-flow")
def train_flow(
    out: Annotated[Path, typer.Option(help="Folder for the weights and the log.")] = Path("hermes-flow-retrained"),
    seed: TrainingSeed = 0,
    device: Device = "auto",
    scale: TrainingScale = 1.0,
    quiet: Quiet = False,
) -> None:
    """Train hermes-flow from nothing, as the shipped weights were."""
    from hermes.harness.models.flow.train import train_flow as train

    _train(train, out, seed, device, scale, quiet)


def _train(train: Callable[..., object], out: Path, seed: int, device: str, scale: float, quiet: bool) -> None:
    from hermes.harness.models.device import pick_device
    from hermes.harness.system.progress import watched

    with watched("train", quiet) as progress:
        train(out, seed=seed, device=pick_device(device), scale=scale, progress=progress)
    put(f"evaluate it: hermes eval --model {out}\n")


def main() -> None:
    """Run a command; whatever goes wrong is one line on stderr, see `hermes.exits`."""
    signal.signal(signal.SIGINT, stop)
    leave(lambda: app(standalone_mode=False))


if __name__ == "__main__":
    main()
