"""An OpenAI-compatible server on 127.0.0.1 for tests: it answers and draws, or misbehaves as it is told."""

import base64
import hashlib
import io
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from PIL import Image
from serving import Server

CHAT, IMAGES = "/v1/chat/completions", "/v1/images/generations"
SIDE = 8


@dataclass(frozen=True)
class Asked:
    """One question as the server read it; ``body`` is all of it, ``key`` the header that holds the key."""

    path: str
    prompt: str
    pictures: tuple[Image.Image, ...]
    body: Mapping[str, Any]
    key: str | None


@dataclass(frozen=True)
class Reply:
    """``body`` is sent as JSON, bytes as they are; ``after``: seconds, or an event that is waited for."""

    body: Any
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    after: float | threading.Event = 0.0


def said(text: Any, why: str = "stop", **more: Any) -> dict[str, Any]:
    """A chat completion: 100 tokens in, 2 out."""
    choices = [{"index": 0, "message": {"role": "assistant", "content": text, **more}, "finish_reason": why}]
    return {"object": "chat.completion", "choices": choices, "usage": {"prompt_tokens": 100, "completion_tokens": 2}}


def drew(picture: Image.Image) -> dict[str, Any]:
    """A reply of the images endpoint."""
    return {"created": 0, "data": [{"b64_json": base64.b64encode(png(picture)).decode()}]}


def refused(message: str, param: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "param": param}}


def picture_of(prompt: str, seed: Any = 0) -> Image.Image:
    """What the server draws: a colour for each prompt and seed, with one white corner."""
    picture = Image.new("RGB", (SIDE, SIDE), tuple(hashlib.sha256(f"{prompt}|{seed}".encode()).digest()[:3]))
    picture.putpixel((0, 0), (255, 255, 255))
    return picture


def png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG")
    return buffer.getvalue()


def good(asked: Asked) -> Reply:
    if asked.path == IMAGES:
        return Reply(drew(picture_of(asked.prompt, asked.body.get("seed"))))
    return Reply(said("yes"))


class ModelServer:
    """``answer`` says what to do with a question; ``paths`` is what it has, ``entry`` and ``version`` what it says."""

    def __init__(self) -> None:
        self.answer: Callable[[Asked], Reply] = good
        self.paths = {CHAT, IMAGES}
        self.entry: dict[str, Any] | None = {"id": "m", "owned_by": "vllm", "root": "org/m", "created": 0}
        self.version: str | None = "0.11.0"
        self.files: dict[str, Reply] = {}
        self.asked: list[Asked] = []
        self.answered: list[str] = []
        self.looked: list[str] = []
        self.busiest = self._busy = 0
        self._lock = threading.Lock()
        self._server = Server(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.root = f"http://127.0.0.1:{self._server.server_address[1]}"
        self.model = f"openai:m@{self.root}/v1"

    def run(self) -> None:
        self._server.serve_forever(poll_interval=0.01)

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def get(self, path: str) -> Reply:
        """The list, with a time of creation that is that of the question as vLLM has it, the version, or a file."""
        self.looked.append(path)
        if path == "/v1/models" and self.entry is not None:
            return Reply({"object": "list", "data": [{**self.entry, "created": time.time_ns()}]})
        if path == "/version" and self.version is not None:
            return Reply({"version": self.version})
        return self.files.get(path, Reply(refused("no such path"), 404))

    def post(self, path: str, body: Mapping[str, Any], key: str | None) -> Reply:
        if path not in self.paths:
            return Reply(refused("no such path"), 404)
        if "messages" not in body and "prompt" not in body:
            self.looked.append(path)
            return Reply(refused("missing: messages or prompt"), 400)
        asked = _read(path, body, key)
        with self._lock:
            self.asked.append(asked)
            self._busy += 1
            self.busiest = max(self.busiest, self._busy)
        reply = self.answer(asked)
        if isinstance(reply.after, threading.Event):
            reply.after.wait(60)
        else:
            time.sleep(reply.after)
        with self._lock:
            self._busy -= 1
        return reply

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                self.reply(server.get(self.path))

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                self.reply(server.post(self.path, body, self.headers["Authorization"]))
                if prompt := _prompt(body):
                    server.answered.append(prompt)

            def reply(self, reply: Reply) -> None:
                body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
                self.send_response(reply.status)
                headers = {"Content-Type": "application/json", "Content-Length": str(len(body)), **reply.headers}
                for name, value in headers.items():
                    self.send_header(name, value)
                try:
                    self.end_headers()
                    self.wfile.write(body)
                except OSError:  # nobody waits for it any more
                    self.close_connection = True

            def log_message(self, *_: Any) -> None:
                """Tests need no log."""

        return Handler


def _prompt(body: Mapping[str, Any]) -> str:
    if "prompt" in body:
        return str(body["prompt"])
    content = body["messages"][-1]["content"] if "messages" in body else ""
    return str(content if isinstance(content, str) else content[-1]["text"])


def _read(path: str, body: Mapping[str, Any], key: str | None) -> Asked:
    content = body["messages"][-1]["content"] if "messages" in body else []
    urls = [part["image_url"]["url"] for part in content if isinstance(part, dict) and part["type"] == "image_url"]
    encoded = [url.removeprefix("data:image/png;base64,") for url in urls]
    pictures = tuple(Image.open(io.BytesIO(base64.b64decode(text, validate=True))) for text in encoded)
    return Asked(path, _prompt(body), pictures, body, key)


@contextmanager
def model_server() -> Iterator[ModelServer]:
    server = ModelServer()
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.stop()
        thread.join()
