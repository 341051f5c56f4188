"""The files of configs/: what starts Hermes on one GPU, on eight, on several nodes, by Slurm and by SkyPilot.

Nodes and schedulers are played by scripts on this machine. `accelerate` is the real one where weights are asked, and
else its own parser.
"""

import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.commands.launch import _validate_launch_command, launch_command_parser
from accelerate.utils import FullyShardedDataParallelPlugin
from accelerate.utils.launch import prepare_multi_gpu_env
from documented import ROOT, hermes
from stored import environments
from test_documented_commands import parsed

from hermes.harness.run.runner import evaluate
from hermes.harness.run.settings import EvalSettings
from hermes.harness.system.launch import check_launch

CONFIGS = ROOT / "configs"
LAUNCHERS = sorted(CONFIGS.glob("*.yaml"))
SLURM = sorted(CONFIGS.glob("slurm/*.sbatch"))
SKY = sorted(CONFIGS.glob("sky/*.yaml"))
SKY_FIELDS = {"name", "resources", "num_nodes", "workdir", "envs", "setup", "run"}
SRUN = """#!/bin/bash
# A task on each node, all of which are this machine.
while [[ $1 == --* ]]; do shift; done
for ((node = 0; node < SLURM_NNODES; node++)); do SLURM_NODEID=$node "$@" & tasks+=($!); done
for task in "${tasks[@]}"; do wait "$task" || exit 1; done
"""
SCONTROL = "#!/bin/bash\necho 127.0.0.1; echo other\n"
ACCELERATE = f'#!/bin/bash\nexec {sys.executable} -m accelerate.commands.launch "${{@:2}}"\n'
SAYS = '#!/bin/bash\nprintf "%s\\n" "$@"\n'
"""A command that only says, line by line, what it is given."""


def name(path: Path) -> str:
    return str(path.relative_to(CONFIGS))


@pytest.fixture
def play(tmp_path: Path, environment: dict[str, str]) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """`play(script, *arguments, commands=..., **variables)` runs a script in bash with these commands before others."""

    def run(
        script: Path | str, *arguments: str, commands: dict[str, str], **variables: object
    ) -> "subprocess.CompletedProcess[str]":
        folder = tmp_path / "commands"
        folder.mkdir(exist_ok=True)
        for command, text in commands.items():
            (folder / command).write_text(text)
            (folder / command).chmod(0o755)
        told = {key: str(value) for key, value in variables.items()}
        path = os.pathsep.join((str(folder), os.environ["PATH"]))
        given = ["-c", script, "run"] if isinstance(script, str) else [str(script)]
        return subprocess.run(
            ("bash", *given, *arguments),
            env={**environment, "CUDA_VISIBLE_DEVICES": "", **told, "PATH": path},
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=300,
        )

    return run


def launched(said: str) -> tuple[Any, list[str]]:
    """What accelerate makes of the arguments of `accelerate launch`, and the arguments of Hermes."""
    words = said.splitlines()
    assert words.pop(0) == "launch"
    arguments = _validate_launch_command(launch_command_parser().parse_args(words))[0]
    assert (arguments.module, arguments.training_script) == (True, "hermes")
    return arguments, arguments.training_script_args


@pytest.mark.parametrize("path", LAUNCHERS, ids=name)
def test_accelerate_reads_its_configurations(path: Path) -> None:
    """Hermes takes what they say, and files for a node and for nodes differ in nothing but their numbers."""
    config = load_config_from_file(str(path))
    assert config.num_processes == (1 if path.stem == "one-gpu" else 8) * config.num_machines
    check_launch(told(path))
    if path.stem.endswith("-nodes"):
        alone = load_config_from_file(str(path.with_stem(path.stem.removesuffix("-nodes"))))
        numbers = ("num_machines", "num_processes", "main_process_port")
        assert {**vars(config), **{key: vars(alone)[key] for key in numbers}} == vars(alone)


def told(path: Path) -> dict[str, str]:
    """The environment that accelerate gives its processes under a configuration."""
    arguments = ("--config_file", str(path), "--main_process_ip", "127.0.0.1", "--main_process_port", "0")
    args, *_ = _validate_launch_command(launch_command_parser().parse_args([*arguments, "-m", "hermes", "align"]))
    return dict(prepare_multi_gpu_env(args))


def test_torchrun_shards_as_accelerate_does(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = (CONFIGS / "fsdp.env").read_text().splitlines()
    given = dict(line.split("=") for line in lines if not line.startswith("#"))
    check_launch(given)
    plugins = []
    for environment in (told(CONFIGS / "fsdp.yaml"), given):
        with monkeypatch.context() as patch:
            for key in [key for key in os.environ if key.startswith(("FSDP_", "ACCELERATE_"))]:
                patch.delenv(key)
            for key, value in environment.items():
                if key.startswith(("FSDP_", "ACCELERATE_")):
                    patch.setenv(key, value)
            plugins.append(vars(FullyShardedDataParallelPlugin()))
    assert plugins[0] == plugins[1]
    assert plugins[0]["fsdp_version"] == 2


def commands_in(path: Path) -> Iterator[str]:
    """The commands of a script, and those that its comments show, continued lines joined."""
    text = path.read_text() if path.suffix == ".sbatch" else yaml.safe_load(path.read_text())["run"]
    yield from re.sub(r" *\\\n *", " ", text).splitlines()
    yield from re.findall(r"^#     (.+)", path.read_text(), re.MULTILINE)


@pytest.mark.parametrize("path", [*SLURM, *SKY], ids=name)
def test_commands_in_scripts_can_be_given(path: Path) -> None:
    found = 0
    for line in commands_in(path):
        if re.match(r"(hermes|accelerate|sbatch|CONFIG=\S+ sbatch) ", line) and (given := hermes(line)):
            parsed([word for word in given if word != "$@"])
            found += 1
    assert found


@pytest.mark.parametrize("path", SLURM, ids=name)
def test_bash_reads_scripts_of_slurm(path: Path) -> None:
    done = subprocess.run(("bash", "-n", str(path)), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    asked, _, rest = path.read_text().rpartition("#SBATCH")
    assert not re.findall(r"^[^#\n]", asked, re.MULTILINE), "Slurm reads no #SBATCH behind the first command"
    assert rest


@pytest.mark.parametrize("path", SKY, ids=name)
def test_jobs_of_skypilot_start_as_many_processes_as_there_are_gpus(path: Path, play: Callable[..., Any]) -> None:
    job = yaml.safe_load(path.read_text())
    assert set(job) == SKY_FIELDS
    nodes = job["num_nodes"]
    place = {"NUM_NODES": nodes, "NODE_RANK": nodes - 1, "NUM_GPUS_PER_NODE": 8, "NODE_IPS": "10.0.0.1\n10.0.0.2"}
    variables = {f"SKYPILOT_{key}": value for key, value in place.items()}
    done = play("set -e\n" + job["run"], commands={"accelerate": SAYS}, **job["envs"], **variables)
    assert done.returncode == 0, done.stderr
    how, given = launched(done.stdout)
    assert (how.num_machines, how.num_processes, how.machine_rank) == (nodes, 8 * nodes, nodes - 1)
    assert how.main_process_ip == ("10.0.0.1" if nodes > 1 else None)
    assert str(parsed(given)["runs"]) == job["envs"]["RUNS"]


def test_an_array_asks_each_model_each_task_once(play: Callable[..., Any]) -> None:
    models, tasks, asked = ("hermes-tiny", "showlab/show-o"), ("pope", "mme", "gqa"), []
    known = {"MODELS": " ".join(models), "TASKS": " ".join(tasks), "RUNS": "/shared/runs of ours"}
    for number in range(7):
        script = CONFIGS / "slurm" / "array.sbatch"
        done = play(script, "--limit", "8", commands={"hermes": SAYS}, SLURM_ARRAY_TASK_ID=number, **known)
        if number == 6:
            assert (done.returncode, done.stderr) == (2, "no pair 6: submit with --array=0-5\n")
            continue
        values = parsed(done.stdout.splitlines())
        asked.append((values["model"], values["tasks"]))
        assert (str(values["runs"]), values["limit"]) == (known["RUNS"], 8)
    assert asked == [(model, task) for model in models for task in tasks]


@pytest.mark.slow
def test_two_nodes_come_to_what_one_process_does(play: Callable[..., Any], tmp_path: Path) -> None:
    """The script of Slurm itself, on two nodes of two processes that share nothing but the folder of runs."""
    command = ("--model", "hermes-tiny", "--tasks", "pope", "--limit", "3", "--device", "cpu")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    done = play(
        CONFIGS / "slurm" / "hermes.sbatch",
        *("eval", *command, "--runs", str(tmp_path / "nodes"), "--batch-size", "2"),
        commands={"srun": SRUN, "scontrol": SCONTROL, "accelerate": ACCELERATE},
        **{"SLURM_NNODES": 2, "SLURM_GPUS_ON_NODE": 2, "SLURM_JOB_ID": 7, "SLURM_JOB_NODELIST": "node[0-1]"},
        PORT=port,
    )
    assert done.returncode == 0, done.stderr
    alone = evaluate(EvalSettings(model="hermes-tiny", tasks=("pope",), limit=3, device="cpu", runs=tmp_path / "one"))
    (folder,) = (tmp_path / "nodes" / "hermes-tiny").glob("*/")
    assert folder.name == alone["folder"].name
    assert (folder / "results.json").read_bytes() == (alone["folder"] / "results.json").read_bytes()
    assert [entry["processes"] for entry in environments(folder) if "processes" in entry] == [4]
    journals = {path.name for path in (tmp_path / "nodes" / "answers").rglob("responses.*") if path.stat().st_size}
    assert journals <= {f"responses.{rank}.jsonl" for rank in range(4)}
    assert len(journals) > 1  # one that is slow may find its work done
