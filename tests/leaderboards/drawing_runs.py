"""Runs whose stores hold drawn pictures, with what was asked, planned and scored."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from made import gap, history, key, result, run, write_places
from PIL import Image

from hermes.harness.records.store import Store
from hermes.harness.records.stored_samples import StoredSample
from hermes.harness.records.types import Response, Result, Score
from hermes.harness.system.disk import read_json

Worths = Mapping[str, tuple[float, ...]]  # A sample's id, and what each of its pictures is worth.
HOSTILE = "<script>document.title = 'owned'</script>"


def drawing(root: Path, name: str, tasks: Mapping[str, Worths], **changes: Any) -> Path:
    """Write a run that drew, in a folder of its own under the root, and its answers beside it."""
    folder = root / "tiny" / name
    measured = {"homologous-u": result("homologous-u", 0.75), **{task: result(task, 0.5) for task in tasks}}
    run(folder, name, measured, run_id=name, gap=gap(0.75, 0.5), **changes)
    stores(folder, root, tasks, measured)
    return folder


def playing(root: Path, rounds: list[Worths]) -> Path:
    """Write a self-play whose rounds drew homologous items, and the pages that it has of each."""
    folder = root / "tiny" / "align-1"
    history(folder, "sum", 0, [(0.75, 0.5 + number / 10) for number in range(len(rounds))], align_id="1")
    for number, worths in enumerate(rounds):
        home = folder / f"round-{number}" / "evaluation"
        results = {"homologous-g": result("homologous-g", 0.5)}
        stores(home, root, {"homologous-g": worths}, results, f"round-{number}-")
        (home / "report.html").write_text("an evaluation")
        (folder / f"round-{number}" / "pairs.html").write_text("pairs")
    return folder


def stores(
    folder: Path, root: Path, tasks: Mapping[str, Worths], measured: Mapping[str, Result], prefix: str = ""
) -> None:
    """The answers, scores and samples of tasks, and the run.json that says where they are."""
    places = {}
    for task, worths in tasks.items():
        store = Store(root / "answers" / f"{prefix}{task}-{folder.name}")
        (store.folder / "samples").mkdir(parents=True)
        samples, scores = [], []
        for number, (sample, values) in enumerate(worths.items()):
            prompt = f"{sample} {HOSTILE}"
            known = {"group_id": sample, "ability": "generation", "asked": "", "whole": ""}
            samples.append(StoredSample(id=sample, prompt=prompt, **known).model_dump_json())
            for index, value in enumerate(values):
                colour = (int(255 * value), 40 * number % 256, 80 * index % 256)
                (digest,) = store.keep_images([Image.new("RGB", (32, 32), colour)])
                asked = {"key": key(task, sample, index), "prompt_sha256": ""}
                drawn = {"sample_id": sample, "index": index, "seed": 0, "image": digest, "plan": f"plan of {sample}"}
                store.responses.append([Response(**asked, **drawn)])
                of = {"sample_id": sample, "index": index, "group_id": sample}
                scores.append(Score(**of, values={"accuracy": value}, reason="<b>why</b>"))
        (store.folder / "scores.jsonl").write_text("".join(one.model_dump_json() + "\n" for one in scores))
        (store.folder / "samples" / f"{measured[task].data.fingerprint}.jsonl").write_text("\n".join(samples))
        place = store.folder.relative_to(root).as_posix()
        places[task] = {"answers": place, "scores": f"{place}/scores.jsonl"}
    write_places(folder, root, places)
    assert read_json(folder / "results.json")
