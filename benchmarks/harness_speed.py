"""What the harness costs: CPU seconds of `hermes --help`, what `import hermes` loads, and POPE against a bare loop.

Run: python benchmarks/harness_speed.py. The ratio compares two runs on this machine, so it holds on any other.
"""

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from hermes.evaluators.pope import POPE
from hermes.harness.contracts.benchmark import Answer
from hermes.harness.data.tables import WORLD_SEED
from hermes.harness.models.null import NullModel
from hermes.harness.records.types import Metric, Request, Response
from hermes.harness.run.runner import evaluate
from hermes.harness.run.settings import EvalSettings
from hermes.shapes.twins import twin_of

BATCH = 64
REPEATS = 5


def child_cpu(*arguments: str) -> float:
    """CPU seconds, user and system, of one Python process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def import_loads_torch() -> bool:
    code = "import hermes, sys; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return done.stdout.strip() == "True"


def bare_loop() -> Metric:
    """POPE without a harness: rows, questions in batches, scores, the mean; nothing is stored or can resume."""
    evaluator, model = POPE(), NullModel()
    samples = list(evaluator.samples(twin_of(evaluator).rows("test", WORLD_SEED)))
    answers = []
    for begin in range(0, len(samples), BATCH):
        batch = samples[begin : begin + BATCH]
        requests = [
            Request(sample_id=s.id, index=0, prompt=s.prompt, images=s.images, config=evaluator.config, seed=0)
            for s in batch
        ]
        for sample, text in zip(batch, model.understand(requests), strict=True):
            response = Response(sample_id=sample.id, index=0, seed=0, prompt_sha256="", text=text)
            answers.append(Answer(sample, response))
    scores = evaluator.scores(answers, "official")
    return evaluator.aggregate(zip(samples, scores, strict=True), "official")[evaluator.headline]


def through_the_harness() -> Metric:
    with tempfile.TemporaryDirectory() as folder:
        settings = EvalSettings(model="null", tasks=("pope",), batch_size=BATCH, device="cpu", out=Path(folder) / "run")
        found: Metric = evaluate(settings)["results"]["pope"].metrics[POPE.headline]
        return found


def rate(run: Callable[[], Metric]) -> float:
    """Samples a second, the best of three runs."""
    times = []
    for _ in range(3):
        begin = time.perf_counter()
        run()
        times.append(time.perf_counter() - begin)
    return twin_of(POPE).n / min(times)


def main() -> None:
    assert bare_loop() == through_the_harness()
    help_cpu = min(child_cpu("-m", "hermes", "--help") for _ in range(REPEATS))
    bare, whole = rate(bare_loop), rate(through_the_harness)
    print(f"hermes --help: {help_cpu:.3f} CPU seconds (least of {REPEATS})")
    print(f"import hermes loads torch: {import_loads_torch()}")
    print(f"POPE, bare loop: {bare:.0f} samples/s")
    print(f"POPE, evaluate:  {whole:.0f} samples/s")
    print(f"evaluate takes {bare / whole:.2f} times as long as the bare loop")


if __name__ == "__main__":
    main()
