"""What asking a served model takes beyond the server's own time, where the server only waits before it replies.

Run: python benchmarks/served_speed.py [--pictures]. The server is a process of its own that adds up how long it had the
requests; divided by how many are in flight that is the least that any client takes. The ratio compares times of one
run. The server needs the extra `view`.
"""

import argparse
import asyncio
import base64
import io
import json
import multiprocessing
import os
import random
import resource
import socket
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

from PIL import Image

from hermes.harness.run.runner import evaluate
from hermes.harness.run.settings import EvalSettings
from hermes.harness.system.progress import Silent

SPREAD = 0.5
QUESTIONS, IMAGES = 6, 3
"""So many questions has an item of the twin, and so many pictures are asked for of each."""


def serve(port: int, seconds: float, side: int) -> None:
    """A server whose replies take ``seconds`` each, more or less by half; pictures are noise of ``side`` pixels."""
    import uvicorn
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    rng, taken = random.Random(0), [0.0, 0.0]
    noise = [_picture(number, side) for number in range(8)]

    async def models(_: Request) -> JSONResponse:
        return JSONResponse({"data": [{"id": "waits", "owned_by": "hermes", "root": "waits"}]})

    async def stats(_: Request) -> JSONResponse:
        return JSONResponse(taken)

    async def answer(request: Request) -> JSONResponse:
        begin = time.perf_counter()
        body = await request.json()
        drawn = request.url.path.endswith("generations")
        if not body.get("prompt" if drawn else "messages"):
            return JSONResponse({"error": {"message": "missing prompt"}}, 400)
        await asyncio.sleep(seconds * rng.uniform(1 - SPREAD, 1 + SPREAD))
        taken[0] += time.perf_counter() - begin
        taken[1] += 1
        if drawn:
            return JSONResponse({"data": [{"b64_json": noise[int(taken[1]) % len(noise)]}]})
        message = {"role": "assistant", "content": "yes"}
        return JSONResponse({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})

    posts = [Route(f"/v1/{path}", answer, methods=["POST"]) for path in ("chat/completions", "images/generations")]
    app = Starlette(routes=[Route("/v1/models", models), Route("/stats", stats), *posts])
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="error", access_log=False)


def _picture(seed: int, side: int) -> str:
    pixels = random.Random(seed).randbytes(3 * (side // 8) ** 2)
    picture = Image.frombytes("RGB", (side // 8, side // 8), pixels).resize((side, side), Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def ask(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=30) as reply:
        return json.load(reply)


def wait_for(url: str) -> None:
    for _ in range(600):
        try:
            ask(url)
            return
        except OSError:
            time.sleep(0.1)
    raise SystemExit("served_speed: the server does not start")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--in-flight", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=1.0, help="mean time of a reply")
    parser.add_argument("--pictures", action="store_true", help="ask for pictures, not words")
    parser.add_argument("--side", type=int, default=512)
    chosen = parser.parse_args()
    os.environ |= {"HERMES_MODEL_CONCURRENCY": str(chosen.in_flight), "NO_PROXY": "127.0.0.1"}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(port, chosen.seconds, chosen.side))
    server.start()
    root = f"http://127.0.0.1:{port}"
    try:
        wait_for(f"{root}/stats")
        each = IMAGES if chosen.pictures else QUESTIONS
        with tempfile.TemporaryDirectory() as folder:
            settings = EvalSettings(
                model=f"openai:waits@{root}/v1",
                tasks=(f"homologous-g@num_images={IMAGES}",) if chosen.pictures else ("homologous-u",),
                data="shapes",
                limit=-(-chosen.requests // each),
                runs=Path(folder),
            )
            cpu, begin = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
            told = evaluate(settings, Silent())
            wall, used = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_SELF)
        held, count = ask(f"{root}/stats")
    finally:
        server.terminate()
        server.join()
    own = held / chosen.in_flight
    (result,) = told["results"].values()
    drawing = next(seconds for name, seconds in told["seconds"].items() if name.startswith("draw"))
    spent = used.ru_utime + used.ru_stime - cpu.ru_utime - cpu.ru_stime
    print(f"requests: {count:.0f}, in flight {chosen.in_flight}, scored {result.counts['scored']}")
    print(f"the server's own time: {own:.1f} s ({held / count:.2f} s a request)")
    print(f"asking and storing: {drawing:.1f} s, {drawing / own:.3f} times the server's own time")
    print(f"the whole evaluation, plan and scores included: {wall:.1f} s, {wall / own:.3f} times")
    print(f"CPU of the client: {1000 * spent / count:.1f} ms a request; load of the machine {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
