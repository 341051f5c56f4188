"""What the machine lacks, what is torn and what others wrote: one line, an exit code, and no escape sequence."""

import json
import os
import subprocess
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiny_showo
import torch

from hermes import terminal
from hermes.harness.models.tiny.adapter import TinyModel
from hermes.harness.records.store import Store
from hermes.harness.run import attempts
from hermes.harness.system.failures import KEPT
from hermes.harness.system.text import UNSAFE

Command = Callable[..., Any]
Python = Callable[..., "subprocess.CompletedProcess[str]"]
EVAL = ("eval", "--model", "null", "--tasks", "pope", "--limit", 20, "--device", "cpu", "-q")
ONE = ("--limit", 1, "--device", "cpu")
NASTY = "\x1b]0;pwned\x07\x1b[31mred\r\u202e[bold]"
SHOWN = r"\u001b]0;pwned\u0007\u001b[31mred"
# A limit as `ulimit` sets it, once everything that the command needs is imported.
LIMITED = """
import os, resource, sys
import hermes.harness.run.runner, hermes.harness.questions.making, hermes.harness.questions.rules, hermes.terminal
from hermes.cli import main
limit = {limit}
resource.setrlimit(resource.{name}, (limit, resource.getrlimit(resource.{name})[1]))
sys.argv = ["hermes", *{arguments!r}]
main()
"""
OPEN_NOW = "max(map(int, os.listdir('/proc/self/fd')))"


def under(python: Python, name: str, limit: object, *arguments: object) -> "subprocess.CompletedProcess[str]":
    return python("-c", LIMITED.format(name=name, limit=limit, arguments=tuple(map(str, arguments))))


def unsafe(text: str) -> set[str]:
    return {char for char in text if char != "\n" and unicodedata.category(char) in UNSAFE}


def one_line(text: str, *said: str) -> None:
    assert text.startswith("hermes: ")
    assert text.count("\n") == 1
    assert text.endswith("\n")
    assert [words for words in said if words not in text] == []


class TestTheMachine:
    def test_a_run_without_room_stops_and_goes_on_later(self, python: Python, command: Command, tmp_path: Path) -> None:
        done = under(python, "RLIMIT_FSIZE", 10_000, *EVAL, "--out", "run")
        assert done.returncode == 2
        one_line(done.stderr, "larger than the system allows", KEPT)
        assert command(*EVAL, "--out", "run").code == 0
        assert command(*EVAL, "--out", "whole").code == 0
        run, whole = (json.loads((tmp_path / name / "results.json").read_text()) for name in ("run", "whole"))
        assert run == whole
        assert run["results"]["pope"]["counts"]["error"] == 0

    def test_too_many_open_files(self, python: Python, tmp_path: Path) -> None:
        (tmp_path / "captions.jsonl").write_text('{"id": 1, "caption": "a photo of a dog"}\n')
        done = under(
            python, "RLIMIT_NOFILE", OPEN_NOW, "data", "questions", "captions.jsonl", "--out", "out.jsonl", "-q"
        )
        assert done.returncode == 2
        one_line(done.stderr, "too many open files; raise the limit", KEPT)

    def test_a_screen_without_room(self, environment: dict[str, str]) -> None:
        with open("/dev/full", "w") as full:
            done = hermes(environment, "list", "models", stdout=full)
        assert done.returncode == 2
        one_line(done.stderr, "no space left on the disk that holds the output")

    def test_where_nobody_reads_on_it_ends_quietly(self, environment: dict[str, str]) -> None:
        reader, writer = os.pipe()
        os.close(reader)
        done = hermes(environment, "list", "models", stdout=writer)
        os.close(writer)
        assert (done.returncode, done.stderr) == (1, "")

    def test_a_terminal_that_lacks_a_character(self, environment: dict[str, str], tmp_path: Path) -> None:
        ascii_only = environment | {"PYTHONIOENCODING": "ascii"}
        done = hermes(ascii_only, *EVAL, "--label", "café", "--out", tmp_path, stdout=subprocess.PIPE)
        assert (done.returncode, done.stderr) == (0, "")
        assert r"caf\xe9" in done.stdout

    def test_no_right_to_write(self, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
        def denied(*_: object, **__: object) -> None:
            raise PermissionError(13, "Permission denied", "questions.jsonl")

        Path("captions.jsonl").write_text('{"id": 1, "caption": "a photo of a dog"}\n')
        monkeypatch.setattr(os, "fsync", denied)
        code, out, err = command("data", "questions", "captions.jsonl", "--out", "questions.jsonl", "-q")
        assert (code, out) == (2, "")
        one_line(err, "no permission to read or write questions.jsonl", KEPT)

    def test_a_picture_without_room_is_no_error_of_the_model(
        self, command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        draw = ("eval", "--model", "hermes-tiny", "--tasks", "geneval", "--batch-size", 2, "--limit", 4, "-q")
        keep, calls = Store.keep_images, iter(range(9))

        def full(self: Store, images: Any) -> Any:
            if next(calls) == 1:
                raise OSError(28, "No space left on device")
            return keep(self, images)

        monkeypatch.setattr(Store, "keep_images", full)
        code, out, err = command(*draw, "--device", "cpu", "--out", "run")
        assert (code, out) == (2, "")
        one_line(err, "no space left on the disk that holds", KEPT)
        assert '"status":"error"' not in "".join(path.read_text() for path in tmp_path.rglob("responses*.jsonl"))
        monkeypatch.setattr(Store, "keep_images", keep)
        code, out, _ = command(*draw, "--device", "cpu", "--out", "run")
        assert code == 0

    def test_a_batch_without_memory_is_halved_and_said(self, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
        understand, sizes, most = TinyModel.understand, list[int](), 4

        def small(self: TinyModel, requests: Any) -> list[str]:
            sizes.append(len(requests))
            if len(requests) > most:
                raise torch.OutOfMemoryError("CUDA out of memory. GPU 0 has")
            return understand(self, requests)

        freed: list[None] = []
        monkeypatch.setattr(TinyModel, "understand", small)
        monkeypatch.setattr(attempts, "free_memory", lambda: freed.append(None))  # slow in a process as large as this
        ask = ("eval", "--model", "hermes-tiny", "--tasks", "pope", "--limit", 5, "--device", "cpu", "--batch-size", 16)
        code, _, err = command(*ask, "--out", "run")
        assert code == 0
        assert "pope: out of memory with 16 at once; going on with 4 at once, which changes no result\n" in err
        assert sizes[:4] == [16, 8, 4, 4]
        assert len(freed) == sum(size > most for size in sizes)
        assert max(sizes[7:]) == 4
        most = 0
        code, out, err = command(*ask, "--out", "other", "-q")
        assert code == 2
        assert "30 errors, such as: out of memory on cuda:0" in out
        one_line(err, "out of memory on cuda:0", "--dtype bfloat16", "run the same command again")


def hermes(environment: dict[str, str], *arguments: object, stdout: Any) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "hermes", *map(str, arguments)]
    return subprocess.run(command, env=environment, stdout=stdout, stderr=subprocess.PIPE, text=True, timeout=300)


class TestEveryError:
    @pytest.mark.parametrize(
        ("error", "code", "said"),
        [
            (TypeError("odd\nthing"), 1, ["unexpected error: TypeError: odd thing", "HERMES_TRACEBACK=1"]),
            (KeyError(NASTY), 1, ["unexpected error: KeyError"]),
            (FileNotFoundError(2, "No such file or directory", "a.json"), 2, ["a.json: no such file"]),
            (OSError(36, "File name too long", "x" * 5000), 2, ["xxx...", "file name too long"]),
            (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid"), 2, ["save the file as UTF-8"]),
            (RecursionError("maximum recursion depth exceeded"), 2, ["nested too deeply"]),
            (json.JSONDecodeError("Expecting value", "", 0), 2, ["not valid JSON"]),
            (ValueError("embedded null byte"), 2, ["NUL character"]),
            (MemoryError(), 2, ["out of memory", KEPT]),
            (OSError(28, "No space left on device"), 2, ["no space left", KEPT]),
        ],
        ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
    )
    def test_it_is_one_line(
        self, command: Command, monkeypatch: pytest.MonkeyPatch, error: Exception, code: int, said: list[str]
    ) -> None:
        def broken(*_: object) -> None:
            raise error

        monkeypatch.setattr(terminal, "show", broken)
        ended, out, err = command("list", "judges")
        assert (ended, out) == (code, "")
        one_line(err, *said)
        assert not unsafe(err)
        assert len(err) < 1100

    def test_a_file_that_ends_too_early(self, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
        def broken(*_: object) -> None:
            raise EOFError

        monkeypatch.setattr(terminal, "show", broken)
        code, _, err = command("list", "judges")
        assert code == 2
        one_line(err.lstrip(), "ends too early")  # typer begins a new line first

    def test_a_traceback_is_there_for_who_wants_it(self, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
        def broken(*_: object) -> None:
            raise TypeError(NASTY)

        monkeypatch.setattr(terminal, "show", broken)
        monkeypatch.setenv("HERMES_TRACEBACK", "1")
        err = command("list", "judges").err
        assert "in broken" in err
        assert "Traceback" in err
        assert not unsafe(err)

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (("lost",), "No such command"),
            (("eval", "--modle", "null"), "No such option"),
            (("eval", "--limit", "many"), "--limit"),
            (("eval", "--limit", 0), "--limit"),
            (("list",), "Missing argument"),
            (("list", NASTY), "unknown kind"),
            (("eval", "--label", b"\xff".decode(errors="surrogateescape")), "not UTF-8"),
        ],
    )
    def test_a_bad_argument_is_one_line(self, command: Command, arguments: tuple[str, ...], said: str) -> None:
        code, out, err = command(*arguments)
        assert (code, out) == (2, "")
        one_line(err, said)
        assert not unsafe(err)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    home = tmp_path_factory.mktemp("checkpoints")
    TinyModel.load().save(home / "tiny")
    tiny_showo.make_checkpoint(home / "showo")
    return {"tiny": home / "tiny", "showo": home / "showo"}


class TestTornCheckpoints:
    """Cut short, garbled, a folder instead of a file: each is refused in one line that names the checkpoint."""

    @pytest.mark.parametrize(
        ("model", "file"),
        [
            ("tiny", "transformer.safetensors"),
            ("tiny", "tokenizer.safetensors"),
            ("tiny", "vocabulary.json"),
            ("tiny", "config.json"),
            ("showo", "pytorch_model.safetensors"),
            ("showo", "config.json"),
        ],
    )
    def test_it_is_refused(self, command: Command, folders: dict[str, Path], model: str, file: str) -> None:
        path = folders[model] / file
        whole = path.read_bytes()
        torn = [whole[: len(whole) // 2], b"", b"\xff" * 64, b"[" * 100_000]
        try:
            for content in torn:
                path.write_bytes(content)
                self.refuse(command, folders[model])
            path.unlink()
            path.mkdir()
            self.refuse(command, folders[model])
            path.rmdir()
        finally:
            path.write_bytes(whole)

    def refuse(self, command: Command, folder: Path) -> None:
        code, out, err = command("eval", "--model", folder, "--tasks", "pope", "--data", "shapes", "-q", *ONE)
        assert (code, out) == (2, "")
        one_line(err, str(folder))


class TestWhatOthersWrote:
    def test_a_label_and_names_of_results(self, command: Command, tmp_path: Path) -> None:
        code, out, _ = command(*EVAL, "--label", NASTY, "--out", "run")
        assert code == 0
        assert SHOWN in out
        assert "[bold]" in out
        assert not unsafe(out)
        path = tmp_path / "run" / "results.json"
        content = json.loads(path.read_text())
        content["label"] = None
        content["run_id"] = content["model"]["name"] = NASTY
        path.write_text(json.dumps(content))
        for format in ("md", "latex", "html"):
            code, out, err = command("leaderboard", "run", "--format", format)
            assert code == 0
            assert "u001b]0;pwned" in out.replace("\\]", "]")
            assert not unsafe(out + err)

    def test_results_of_another_kind(self, command: Command, tmp_path: Path) -> None:
        for content in (b"[" * 100_000, b'{"schema": "\x1b[31m"}', json.dumps({"schema": NASTY}).encode(), b"\xff"):
            (tmp_path / "results.json").write_bytes(content)
            code, out, err = command("leaderboard", tmp_path)
            assert (code, out) == (2, "")
            one_line(err, "results.json")
            assert not unsafe(err)

    def test_ids_and_columns_of_rows(self, command: Command, tmp_path: Path) -> None:
        row = {"id": NASTY, "question_id": NASTY, "question": "?", "answer": "yes", "category": NASTY}
        row |= {"image": f"{NASTY}.png", "image_source": NASTY, NASTY: 1}
        (tmp_path / "rows.jsonl").write_text(f"{json.dumps(row)}\n" * 2 + '{"a": 1}\n')
        for more in ((), ("--json",)):
            code, out, err = command("data", "check", "pope", "--data", "rows.jsonl", "-q", *more)
            assert code == 1
            assert err == ""
            assert not unsafe(out)

    @pytest.mark.parametrize(
        "image", ["x" * 5000, "a\0b.png", f"{NASTY}.png"], ids=["too long", "NUL", "escape sequences"]
    )
    def test_paths_that_no_file_has(self, command: Command, tmp_path: Path, image: str) -> None:
        questions = [{"question": "Is it red?", "answer": "yes", "kind": "color"}]
        row = {"id": "one", "image": image, "caption": "a red circle", "questions": questions}
        (tmp_path / "rows.jsonl").write_text(json.dumps(row) + "\n")
        code, out, err = command("data", "check", "homologous-u", "--data", "rows.jsonl", "-q")
        assert (code, err) == (1, "")
        assert "broken image" in out
        assert not unsafe(out)
        code, out, err = command("eval", "--model", "null", "--tasks", "homologous-u", "--data", "rows.jsonl", "-q")
        assert (code, out) == (2, "")
        one_line(err, "homologous", "does not decode")
        assert not unsafe(err)
