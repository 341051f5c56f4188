"""What Hermes does on a GPU, measured in minutes without network or checkpoints: correctness, speed, memory, plans.

    python benchmarks/gpu_check.py [--minutes 8] [--out gpu-check] [--only showo,janus] [--parity FOLDER]
    python benchmarks/gpu_check.py --tiny

Models have random weights of their published sizes, made on the device. Each check runs in a process of its own with a
deadline; one that fails is recorded, and what no longer fits into the minutes is skipped. Writes OUT.json, and OUT.md
from it, after every check. Ends with 1 where a check failed or ran out of time. ``--tiny``: the same with tiny models
on a CPU, which tells nothing but that the script works.
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from gpu.apart import Way, outcome
from gpu.measuring import Figure, Place, Skipped
from gpu.table import markdown

from hermes.harness.models.device import device_name
from hermes.harness.system.environment import describe, package_version

CHECKS: tuple[tuple[str, str, str, int], ...] = (
    ("parity", "parity", "check", 60),
    ("Show-o 1.3B, 512 px", "showo", "check", 90),
    ("an align step of Show-o 1.3B, all weights", "align_step", "full", 60),
    ("batch invariance of Show-o 1.3B", "invariance", "check", 60),
    ("Janus-Pro 7B", "janus", "check", 120),
    ("an align step of Janus-Pro 7B, LoRA", "align_step", "lora", 90),
    ("Show-o2 1.5B, 432 px", "showo2", "check", 90),
    ("FSDP2 on one device", "shards", "check", 40),
    ("GenEval's detector", "judges", "detector", 45),
    ("DPG-Bench's reader", "judges", "reader", 60),
    ("BAGEL 7B-MoT", "bagel", "check", 90),
)
"""Name, file and function of each check, what matters most first, and its deadline in seconds.

A deadline is about twice what a check is expected to take on an H100, so one is begun where half of it is left.
"""
WAN = "diffusers.models.autoencoders.autoencoder_kl_wan"
SHARED = ("torch", "transformers", "accelerate", "peft", WAN, "torch.distributed.fsdp")
"""Slow imports, made once, before the processes of the checks are forked."""
FORKED = "forked"
"""Torch's word for a device that an import has touched before the fork."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the checks; 1 where one failed."""
    begun = time.monotonic()
    chosen = _arguments().parse_args(arguments)
    os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "1"  # to ask whether there is a GPU then touches none
    for name in SHARED:
        try:
            import_module(name)
        except ImportError as error:
            print(f"gpu_check: {name} cannot be imported ({error}); what needs it is skipped", file=sys.stderr)
    place = Place("cpu" if chosen.tiny else "cuda", chosen.tiny, golden(chosen.parity))
    told: dict[str, Any] = {
        "tiny": chosen.tiny,
        "minutes": chosen.minutes,
        "begun": time.strftime("%Y-%m-%d %H:%M", time.gmtime()),
        "seconds": 0.0,
        "checks": list[dict[str, Any]](),
    }
    told["machine"], way = this_machine(place)
    for name, file, function, deadline in CHECKS:
        if file not in chosen.only:
            continue
        left = 60 * chosen.minutes - (time.monotonic() - begun)
        if left < deadline / 2:
            ended = {"state": "skipped", "why": f"{max(left, 0):.0f} s were left", "seconds": 0.0, "figures": []}
        else:
            ended = outcome(partial(run, file, function), place, min(deadline, left), way)
        told["checks"].append({"name": name, "deadline": deadline, **ended})
        told["seconds"] = round(time.monotonic() - begun, 1)
        write(told, chosen.out)
        print(f"{name}: {ended['state']} {ended['why']} ({ended['seconds']} s)", flush=True)
    print(markdown(told))
    return int(any(check["state"] in ("failed", "out of time") for check in told["checks"]))


def run(file: str, function: str, place: Place) -> Iterator[Figure]:
    """A check, whose file is imported in its own process, where a package that is missing is its own matter."""
    yield from getattr(import_module(f"gpu.{file}"), function)(place)


def this_machine(place: Place) -> tuple[dict[str, Any], Way]:
    """The card and the versions, and how processes must be started here. Ends the script where there is no card."""
    way: Way = "fork"
    found = outcome(machine, place, 60)
    if FORKED in found["why"]:
        way = "spawn"
        found = outcome(machine, place, 60, way)
    if found["state"] != "done":
        sys.exit(f"gpu_check: {found['why']}")
    versions = {one["name"]: one["value"] for one in found["figures"]}
    return {"card": versions.pop("card"), "versions": versions}, way


def machine(place: Place) -> Iterator[Figure]:
    """The card, its driver and the versions; asked in a fork, as a process that asks CUDA can fork no other."""
    import torch

    if place.cuda:
        try:
            torch.cuda.init()
        except Exception as error:  # torch raises many kinds
            reason = " ".join(str(error).split())
            raise Skipped(f"torch finds no GPU here ({reason}); --tiny tries the script on a CPU") from None
    yield Figure("card", device_name(place.device))
    yield Figure("driver", driver())
    yield Figure("CUDA", torch.version.cuda)
    yield Figure("python", platform.python_version())
    yield from (Figure(name, package_version(name)) for name in ("torch", "transformers", "accelerate", "diffusers"))
    commit = describe(place.device)["git_commit"]
    yield Figure("hermes", commit[:12] if commit else package_version("hermes-bench"))


def driver() -> str | None:
    """The NVIDIA driver's version."""
    if shutil.which("nvidia-smi") is None:
        return None
    asked = ("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader")
    return (subprocess.run(asked, capture_output=True, text=True, timeout=20).stdout.split() or [None])[0]


def golden(named: Path | None) -> Path | None:
    """The golden files' folder: the one that was named, else one in or beside the repository."""
    root = Path(__file__).resolve().parents[1]
    near = [root / "shared" / "parity", root.parent / "shared" / "parity"] if named is None else [named]
    return next((folder for folder in near if folder.is_dir()), None)


def write(told: dict[str, Any], out: Path) -> None:
    """Both files, each from the same content."""
    out.parent.mkdir(parents=True, exist_ok=True)
    out.with_suffix(".json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    out.with_suffix(".md").write_text(markdown(told), encoding="utf-8")


def _files(named: str) -> tuple[str, ...]:
    """The files of the checks that were named, all of them where none is."""
    every = tuple(dict.fromkeys(file for _, file, _, _ in CHECKS))
    chosen = tuple(named.split(",")) if named else every
    if unknown := set(chosen) - set(every):
        raise argparse.ArgumentTypeError(f"no check {', '.join(sorted(unknown))}; choose from {', '.join(every)}")
    return chosen


def _arguments() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--minutes", type=float, default=8, help="for everything together")
    made.add_argument("--out", type=Path, default=Path("gpu-check"), help="the files' name, without its ending")
    made.add_argument("--only", type=_files, default=_files(""), help=f"some of {', '.join(_files(''))}, with commas")
    made.add_argument("--parity", type=Path, help="the folder of golden files, if it is not shared/parity")
    made.add_argument("--tiny", action="store_true", help="tiny models on a CPU")
    return made


if __name__ == "__main__":
    sys.exit(main())
