"""A small OpenAI-compatible server on 127.0.0.1 for tests: it answers, or misbehaves as it is told."""

import base64
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

from hermes.harness.contracts.prompts import SHORT_ANSWER


@dataclass(frozen=True)
class Answer:
    """What the server does with one request: a completion with ``text``, or something else.

    ``body`` replaces the completion; ``close``: nothing is answered; ``seconds``: only after a while; ``drip``: one
    byte each so many seconds, of the headers if ``headers_too``; ``endless``: the body never ends.
    """

    text: Any = "Yes."
    status: int = 200
    body: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    close: bool = False
    seconds: float = 0.0
    drip: float = 0.0
    headers_too: bool = False
    endless: bool = False


@dataclass(frozen=True)
class Asked:
    """One request as the server read it."""

    model: str
    question: str
    image: Image.Image
    payload: Mapping[str, Any]
    key: str
    at: float


class ChatServer:
    """``answer(asked, tries)`` says what to do, where ``tries`` counts how often this question was asked."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.busiest = 0
        self.answer: Callable[[Asked, int], Answer] = lambda asked, tries: Answer()
        self._busy = 0
        self._lock = threading.Lock()
        self._server = Server(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    @property
    def questions(self) -> list[str]:
        return [asked.question for asked in self.asked]

    def take(self, payload: Mapping[str, Any], key: str) -> Answer:
        image, text = sorted(payload["messages"][-1]["content"], key=lambda part: part["type"])
        encoded = image["image_url"]["url"].removeprefix("data:image/png;base64,")
        asked = Asked(
            model=payload["model"],
            question=text["text"].removesuffix(SHORT_ANSWER),
            image=Image.open(io.BytesIO(base64.b64decode(encoded, validate=True))),
            payload=payload,
            key=key,
            at=time.monotonic(),
        )
        with self._lock:
            self.asked.append(asked)
            tries = self.questions.count(asked.question)
            self._busy += 1
            self.busiest = max(self.busiest, self._busy)
        answer = self.answer(asked, tries)
        time.sleep(answer.seconds)
        with self._lock:
            self._busy -= 1
        return answer

    def run(self) -> None:
        self._server.serve_forever(poll_interval=0.01)

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                payload = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if self.path != "/v1/chat/completions":
                    return self.reply(Answer(status=404, body='{"error": {"message": "no such path"}}'))
                answer = server.take(payload, self.headers["Authorization"])
                if answer.close:
                    self.close_connection = True
                    return None
                return self.reply(answer)

            def reply(self, answer: Answer) -> None:
                body = (completion(answer.text) if answer.body is None else answer.body).encode()
                self.send_response(answer.status)
                for name, value in {"Content-Type": "application/json", **answer.headers}.items():
                    self.send_header(name, value)
                if answer.headers_too:
                    self.drip(b"".join(self._headers_buffer), answer.drip)
                self.send_header("Content-Length", str(1 << 40 if answer.endless else len(body)))
                self.end_headers()
                if answer.drip:
                    self.drip(body, answer.drip)
                while answer.endless:
                    self.write(b" " * (1 << 16))
                    if self.close_connection:
                        return
                self.wfile.write(body)

            def drip(self, data: bytes, seconds: float) -> None:
                for byte in data:
                    self.write(bytes([byte]))
                    time.sleep(seconds)
                    if self.close_connection:
                        return

            def write(self, data: bytes) -> None:
                """What nobody takes any more ends the connection."""
                try:
                    self.wfile.write(data)
                except OSError:
                    self.close_connection = True

            def log_message(self, *_: Any) -> None:
                """Tests need no log."""

        return Handler


def completion(text: Any, listed: Mapping[str, float] | None = None) -> str:
    """A chat completion as the API answers it: 100 tokens in, 2 out; ``listed`` are log probabilities of its token."""
    message = {"role": "assistant", "content": text}
    usage = {"prompt_tokens": 100, "completion_tokens": 2, "total_tokens": 102}
    choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
    if listed:
        tokens = [{"token": token, "logprob": value, "bytes": None} for token, value in listed.items()]
        choices[0]["logprobs"] = {"content": [{**tokens[0], "top_logprobs": tokens}]}
    head = {"id": "1", "object": "chat.completion", "created": 0, "model": "m"}
    return json.dumps({**head, "choices": choices, "usage": usage})


@contextmanager
def chat_server() -> Iterator[ChatServer]:
    server = ChatServer()
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.stop()
        thread.join()
