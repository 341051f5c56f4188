"""Served models against a small server that answers, draws, is slow, refuses, fails and repeats itself."""

import base64
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from model_server import (
    CHAT,
    IMAGES,
    Asked,
    ModelServer,
    Reply,
    drew,
    good,
    model_server,
    picture_of,
    png,
    refused,
    said,
)
from PIL import Image
from stored import answers, environments

import hermes
from hermes.harness.records.images import ImageHandle
from hermes.harness.records.types import GenerationConfig, Request
from hermes.harness.system.errors import AskError, HermesError
from hermes.harness.system.progress import Silent

pytest.importorskip("openai")

from hermes.harness.models.served import adapter
from hermes.harness.models.served.adapter import ServedModel
from hermes.harness.models.served.reference import read_reference
from hermes.harness.models.served.sameness import FEW

Make = Callable[..., ServedModel]
VARIABLES = ("OPENAI_API_KEY", "OPENAI_BASE_URL", "HERMES_MODEL_RPM", "HERMES_MODEL_PRICE", "HERMES_MODEL_TIMEOUT")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModelServer]:
    """A server, and none of the variables that a user may have set."""
    for name in (*VARIABLES, "HERMES_MODEL_CONCURRENCY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(adapter.atexit, "register", lambda _: None)
    with model_server() as running:
        yield running


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """`quick(**changes)`: whatever is loaded then waits milliseconds before it tries again, with changed settings."""

    def change(**changes: Any) -> None:
        def read(reference: str) -> Any:
            found = read_reference(reference)
            return found._replace(settings=replace(found.settings, **{"backoff": 0.001} | changes))

        monkeypatch.setattr(adapter, "read_reference", read)

    change()
    return change


@pytest.fixture
def make(server: ModelServer, quick: Callable[..., None]) -> Make:
    """`make(tail, **changes)`: the model of the server, with what its name ends in."""

    def model(tail: str = "", **changes: Any) -> ServedModel:
        quick(**changes)
        return ServedModel.load(server.model + tail, "cpu")

    return model


@pytest.fixture
def run(server: ModelServer, quick: Callable[..., None], tmp_path: Path) -> Callable[..., Any]:
    """`run(task, limit, **more)`: one evaluation under the same root, given again and again."""

    def go(task: str, limit: int = 2, **more: Any) -> Any:
        return hermes.evaluate(
            model=server.model,
            tasks=(task,),
            data="shapes",
            limit=limit,
            runs=tmp_path / "runs",
            progress=Silent(),
            **more,
        )

    return go


def asks(*prompts: str, pictures: tuple[Image.Image, ...] = (), **config: Any) -> list[Request]:
    images = tuple(ImageHandle(picture) for picture in pictures)
    settings = GenerationConfig(**config)
    return [
        Request(sample_id=prompt, index=0, prompt=prompt, images=images, config=settings, seed=2**40 + 5)
        for prompt in prompts
    ]


class TestQuestions:
    def test_the_pictures_and_the_prompt_go_as_they_are(self, server, make):
        server.answer = lambda asked: Reply(said("Two circles."))
        shown = (picture_of("a"), picture_of("b"))
        (text,) = make().understand(asks("How many?", pictures=shown, max_new_tokens=7))
        (asked,) = server.asked
        assert (text, text.truncated) == ("Two circles.", False)
        assert (asked.prompt, asked.body["model"], asked.key) == ("How many?", "m", "Bearer none")
        assert [picture.tobytes() for picture in asked.pictures] == [picture.tobytes() for picture in shown]
        assert {name: asked.body[name] for name in asked.body if name not in ("model", "messages")} == {
            "max_tokens": 7,
            "temperature": 0.0,
        }

    def test_sampling_goes_along_with_a_seed(self, server, make):
        make().understand(asks("q", temperature=0.7, top_p=0.9, top_k=5))
        sent = server.asked[0].body
        assert (sent["temperature"], sent["top_p"], sent["top_k"], sent["seed"]) == (0.7, 0.9, 5, (2**40 + 5) % 2**31)

    def test_a_text_at_its_limit_is_cut_even_where_nothing_but_reasoning_came(self, server, make):
        server.answer = lambda asked: Reply(said("So the" if asked.prompt == "a" else None, why="length"))
        assert [(str(one), one.truncated) for one in make().understand(asks("a", "b"))] == [
            ("So the", True),
            ("", True),
        ]

    def test_what_the_server_does_not_take_is_left_out_and_said_once(self, server, make, capsys):
        def strict(asked: Asked) -> Reply:
            for name in ("max_tokens", "temperature"):
                if name in asked.body:
                    return Reply(
                        refused(f"Unsupported parameter: '{name}' is not supported with this model.", name), 400
                    )
            return good(asked)

        server.answer = strict
        model = make(concurrency=1)
        assert model.understand(asks("a", "b", max_new_tokens=9)) == ["yes", "yes"]
        assert [sorted(asked.body) for asked in server.asked[-2:]] == [
            ["max_completion_tokens", "messages", "model"]
        ] * 2
        assert len(server.asked) == 4
        err = capsys.readouterr().err
        assert err.count("does not take max_tokens; max_completion_tokens is sent instead") == 1
        assert err.count("does not take temperature; it is left out") == 1


def url(picture: Image.Image) -> str:
    return "data:image/png;base64," + base64.b64encode(png(picture)).decode()


PICTURE = picture_of("drawn")
PART = {"type": "image_url", "image_url": {"url": url(PICTURE)}}


class TestPictures:
    def test_the_images_endpoint_draws_with_size_and_seed(self, server, make):
        (picture,) = make().generate(asks("a red circle", image_size=64, steps=9, guidance_scale=2.0))
        sent = dict(server.asked[0].body)
        assert picture.tobytes() == picture_of("a red circle", sent["seed"]).tobytes()
        assert sent == {
            "model": "m",
            "prompt": "a red circle",
            "n": 1,
            "size": "64x64",
            "response_format": "b64_json",
            "seed": (2**40 + 5) % 2**31,
            "num_inference_steps": 9,
            "guidance_scale": 2.0,
        }

    @pytest.mark.parametrize(
        "reply",
        [said("Here.", images=[PART]), said([{"type": "text", "text": "Here."}, PART])],
        ids=["images", "parts"],
    )
    def test_the_chat_draws(self, server, make, reply):
        server.answer = lambda asked: Reply(reply)
        (picture,) = make("?images=chat").generate(asks("a red circle"))
        assert picture.tobytes() == PICTURE.tobytes()
        assert (server.asked[0].path, server.asked[0].body["modalities"]) == (CHAT, ["image", "text"])

    def test_a_chat_is_shown_the_picture_that_it_is_to_change(self, server, make):
        server.paths = {CHAT}
        server.entry = {"id": "m", "architecture": {"output_modalities": ["image"]}}
        server.answer = lambda asked: Reply(said(None, images=[PART]))
        make().generate(asks("make it red", pictures=(PICTURE,)))
        shown, text = server.asked[0].body["messages"][0]["content"]
        assert (shown["type"], text) == ("image_url", {"type": "text", "text": "make it red"})

    def test_one_reply_of_a_chat_is_text_and_picture(self, server, make):
        server.answer = lambda asked: Reply(said("A red circle.", images=[PART]))
        model = make("?images=chat")
        ((_, both),) = next(model.as_they_come(asks("a red circle"), "both"))
        assert (both.said, both.drew.tobytes()) == ("A red circle.", PICTURE.tobytes())
        assert len(server.asked) == 1

    def test_a_server_with_an_images_endpoint_is_asked_twice(self, server, make):
        ((_, both),) = next(make().as_they_come(asks("a red circle"), "both"))
        assert isinstance(both.said, str)
        assert {asked.path for asked in server.asked} == {CHAT, IMAGES}

    def test_a_picture_behind_an_address_is_fetched_without_the_key(self, server, make, monkeypatch):
        monkeypatch.setenv("OPENAI_API_KEY", "sk-1")
        server.answer = lambda asked: Reply({"data": [{"url": f"{server.root}/p.png"}]})
        server.files["/p.png"] = Reply(png(PICTURE), headers={"Content-Type": "image/png"})
        assert make().generate(asks("a"))[0].tobytes() == PICTURE.tobytes()
        server.files["/p.png"] = Reply(b"", 302, {"Location": f"{server.root}/q.png"})
        server.files["/q.png"] = Reply(png(PICTURE))
        with pytest.raises(AskError, match=r"cannot be fetched \(HTTP 302\)"):
            make(retries=0).generate(asks("a"))

    def test_a_server_of_the_open_net_names_no_file_of_this_one(self, server, make):
        model = make()
        model.client.settings = replace(model.settings, address="https://api.example.com/v1")
        with pytest.raises(AskError, match="may not be fetched"):
            model.client.fetch(f"{server.root}/p.png", bytes, threading.Event())
        assert "/p.png" not in server.looked

    @pytest.mark.parametrize(
        ("reply", "says"),
        [
            (drew(Image.new("RGB", (8, 8))), "black throughout"),
            (drew(Image.new("RGBA", (8, 8), (0, 0, 0, 0))), "transparent throughout"),
            ({"data": []}, "without a picture"),
            ({"data": [{"b64_json": ""}]}, "without a picture"),
            ({"data": [{"b64_json": "!"}]}, "not base64"),
            ({"data": [{"b64_json": base64.b64encode(b"GIF89a").decode()}]}, "does not decode"),
            ({"data": [{"url": "file:///etc/passwd"}]}, "not one of the web"),
            ([1], "without a picture"),
        ],
    )
    def test_an_empty_picture_is_an_error(self, server, make, reply, says):
        server.answer = lambda asked: Reply(reply)
        with pytest.raises(AskError, match=says) as error:
            make(retries=1).generate(asks("a"))
        assert "\n" not in str(error.value)

    def test_a_picture_that_a_filter_took_is_an_error(self, server, make):
        server.answer = lambda asked: Reply(said("", why="content_filter"))
        with pytest.raises(AskError, match="filter"):
            make("?images=chat").generate(asks("a"))
        assert len(server.asked) == 1

    def test_the_same_picture_for_every_prompt_is_said_once(self, server, make, capsys):
        prompts = [f"prompt {number}" for number in range(3 * FEW)]
        make().generate(asks(*prompts))
        assert "the same picture" not in capsys.readouterr().err
        server.answer = lambda asked: Reply(drew(PICTURE))
        model = make()
        model.generate(asks(*["one prompt"] * 3 * FEW))
        assert "the same picture" not in capsys.readouterr().err
        model.generate(asks(*prompts))
        said_once = f"warning: openai:m at 127.0.0.1:{server.root.rpartition(':')[2]} gave the same picture for {FEW}"
        assert capsys.readouterr().err.count(said_once) == 1


BAD = {
    "429": Reply(refused("slow down"), 429),
    "500": Reply(refused("oh"), 500),
    "torn JSON": Reply(b'{"choices": [', headers={"Content-Type": "application/json"}),
    "HTML": Reply(b"<html>", headers={"Content-Type": "text/html"}),
    "no choices": Reply({"choices": []}),
    "null": Reply(None),
    "too late": Reply(said("yes"), after=1.5),
}


@pytest.mark.parametrize("reply", BAD.values(), ids=BAD)
def test_what_fails_is_asked_again_and_then_an_error_of_its_own(server, make, reply):
    server.answer = lambda asked: reply if asked.prompt == "bad" else good(asked)
    model = make(retries=1, timeout=0.7 if reply.after else 60.0)
    found = {
        place: answer for group in model.as_they_come(asks("a", "bad", "b"), "understanding") for place, answer in group
    }
    assert (found[0], found[2]) == ("yes", "yes")
    assert isinstance(found[1], AskError)
    assert str(found[1]).startswith("openai:m at 127.0.0.1:")
    assert "after 2 tries" in str(found[1])
    assert Counter(asked.prompt for asked in server.asked) == {"a": 1, "bad": 2, "b": 1}


def test_it_waits_as_long_as_the_server_says(server, make):
    times: list[float] = []

    def answer(asked: Asked) -> Reply:
        times.append(time.monotonic())
        return Reply(refused("busy"), 429, {"Retry-After": "0.4"}) if len(times) == 1 else good(asked)

    server.answer = answer
    assert make().understand(asks("a")) == ["yes"]
    assert times[1] - times[0] >= 0.4


def test_a_stopped_command_gets_what_is_on_its_way_and_asks_no_more(server, make):
    hang = threading.Event()
    server.answer = lambda asked: good(asked) if asked.prompt == "0" else replace(good(asked), after=hang)
    arrivals = make(concurrency=2).as_they_come(asks(*map(str, range(9))), "understanding")
    assert next(arrivals) == [(0, "yes")]
    threading.Timer(0.2, hang.set).start()
    late = dict(arrivals.throw(KeyboardInterrupt()))
    assert late in ({1: "yes"}, {1: "yes", 2: "yes"})
    with pytest.raises(KeyboardInterrupt):
        next(arrivals)
    assert len(server.asked) == 1 + len(late)


class TestRun:
    def test_an_evaluation_stores_what_it_stores_of_other_models(self, server, run):
        content = run("pope", 2)
        result, asked = content["results"]["pope"], len(server.asked)
        assert (result.n, result.counts["scored"], asked) == (12, 12, 12)
        assert (content["model"]["name"], content["model"]["revision"]) == ("m", "vllm 0.11.0")
        assert {one.text for one in answers(content["folder"], "pope").values()} == {"yes"}
        assert run("pope", 2)["folder"] == content["folder"]
        assert len(server.asked) == asked
        assert environments(content["folder"])[0]["model"]["dtype"] == "as served"

    def test_a_failure_is_counted_and_never_a_zero(self, server, run, quick):
        quick(retries=0)
        prompts: list[str] = []

        def answer(asked: Asked) -> Reply:
            prompts.append(asked.prompt)
            return Reply(refused("oh"), 500) if asked.prompt == prompts[0] else good(asked)

        server.answer = answer
        first = run("geneval", 3, judge="oracle")["results"]["geneval"]
        bad = prompts.count(prompts[0])
        assert (first.counts["scored"], first.counts["error"]) == (len(prompts) - bad, bad)
        assert 0 < bad < len(prompts)
        assert "HTTP 500" in next(iter(first.failures))
        server.answer = good
        again = run("geneval", 3, judge="oracle")["results"]["geneval"]
        assert (again.counts["scored"], again.counts["error"]) == (len(prompts), 0)
        assert len(server.asked) == len(prompts) + bad

    def test_failures_in_a_row_stop_it(self, server, run, quick):
        quick(retries=0, concurrency=2)
        server.answer = lambda asked: Reply(b"<html>", after=0.02)
        with pytest.raises(HermesError, match=r"\d+ answers in a row failed, the first with: openai:m at"):
            run("pope", 100, max_failures=5)
        assert 5 <= len(server.asked) < 300

    def test_many_are_asked_at_once_and_no_more_than_allowed(self, server, run, quick):
        quick(concurrency=8)
        server.answer = lambda asked: replace(good(asked), after=0.05)
        run("pope", 8)
        assert 4 <= server.busiest <= 8

    def test_another_version_is_another_run_and_another_machine_is_not(self, server, run, make):
        before = run("pope")["folder"]
        with model_server() as elsewhere:
            server.model = elsewhere.model
            assert run("pope")["folder"] == before
            elsewhere.version = "0.12.0"
            assert run("pope")["folder"] != before

    def test_killed_and_resumed_nothing_is_asked_twice(self, server, run, environment, tmp_path):
        """Nine are answered, the others hang; what was on its way when the command died was never answered."""
        hang, held = threading.Event(), threading.Lock()
        left = [9]

        def answer(asked: Asked) -> Reply:
            with held:
                left[0] -= 1
                return good(asked) if left[0] >= 0 else replace(good(asked), after=hang)

        server.answer = answer
        arguments = ["eval", "--model", server.model, "--tasks", "pope", "--data", "shapes", "--limit", "4"]
        command = subprocess.Popen(
            [sys.executable, "-m", "hermes", *arguments],
            env=environment | {"NO_PROXY": "127.0.0.1", "HERMES_MODEL_CONCURRENCY": "4"},
            cwd=tmp_path,
            stderr=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        stored, deadline = 0, time.monotonic() + 120
        while (
            min(stored, len(server.answered), len(server.asked) - 4) < 9
            and command.poll() is None
            and time.monotonic() < deadline
        ):
            time.sleep(0.01)
            stored = sum(path.read_bytes().count(b"\n") for path in tmp_path.glob("runs/answers/*/*/responses.*.jsonl"))
        command.send_signal(signal.SIGKILL)
        command.wait()
        assert (stored, len(server.answered), len(server.asked)) == (9, 9, 13)
        server.answer = good
        result = run("pope", 4)["results"]["pope"]
        hang.set()
        assert result.counts["scored"] == 24
        assert len(server.asked) == 13 + 24 - 9


class TestWhatItCan:
    def test_a_server_without_pictures_is_told_so_in_one_line(self, server, command):
        server.paths = {CHAT}
        told = command("eval", "--model", server.model, "--tasks", "geneval", "--data", "shapes", "--limit", 1)
        assert told.code == 2
        assert told.err.splitlines()[-1] == (
            f"hermes: task 'geneval' needs generation, which model '{server.model}' does not support; "
            "leave the task out"
        )
        assert server.asked == []

    def test_a_server_without_words_is_told_so_in_one_line(self, server, run):
        server.paths = {IMAGES}
        with pytest.raises(HermesError, match="needs understanding"):
            run("pope")

    def test_pictures_in_chats_are_found_where_the_list_names_them(self, server, make):
        server.paths = {CHAT}
        server.entry = {"id": "m", "architecture": {"output_modalities": ["image"]}}
        assert make().info.abilities == ("generation", "editing")
        server.answer = lambda asked: Reply(said(None, images=[PART]))
        assert make().generate(asks("a"))[0].tobytes() == PICTURE.tobytes()

    def test_a_server_that_says_nothing_is_named_so(self, server, make):
        server.entry = server.version = None
        info = make().info
        assert info.revision == "unknown"
        assert info.abilities == ("understanding", "generation")

    def test_a_server_that_has_neither_is_one_line(self, server, make):
        server.paths = set()
        with pytest.raises(HermesError, match="neither chat completions nor images; check the model's name"):
            make()

    def test_a_dry_run_asks_nothing(self, server, command):
        told = command("eval", "--model", server.model, "--tasks", "pope", "--data", "shapes", "--dry-run")
        assert told.code == 0, told.err
        assert (server.asked, server.looked) == ([], [])

    @pytest.mark.parametrize(
        ("reference", "says"),
        [
            ("openai:gpt", "the model openai:gpt at api.openai.com needs a key; set OPENAI_API_KEY"),
            ("openai", "the model openai needs a model"),
            ("openai:m@http://127.0.0.1:9/v1?images=both", "images=both is unknown; give endpoint or chat"),
            ("openai:m@http://127.0.0.1:9/v1", "no server answers at http://127.0.0.1:9/v1"),
        ],
    )
    def test_a_name_that_makes_no_sense_is_one_line(self, server, command, reference, says):
        told = command("eval", "--model", reference, "--tasks", "pope", "--data", "shapes")
        assert told.code == 2
        assert says in told.err.splitlines()[-1]
