"""A judge for tasks of lmms-eval in tests: an OpenAI-compatible server that looks at the bytes of pictures."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any

from serving import Server

Reply = Callable[[Mapping[str, Any], int], tuple[int, str]]


class JudgeServer:
    """``reply(message content, number)`` gives status and text of each answer; ``asked`` counts them."""

    def __init__(self, reply: Reply) -> None:
        self.reply, self.asked = reply, 0
        self._server = Server(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def run(self) -> None:
        self._server.serve_forever(poll_interval=0.01)

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                payload = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                server.asked += 1
                status, text = server.reply(payload, server.asked)
                choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
                head = {"id": "1", "object": "chat.completion", "created": 0, "model": "m"}
                body = json.dumps({**head, "choices": [choice]}).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Tests need no log."""

        return Handler


def pictures_of(payload: Mapping[str, Any]) -> list[str]:
    """The data URLs of the last message."""
    parts = payload["messages"][-1]["content"]
    return [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]


@contextmanager
def judge_server(reply: Reply) -> Iterator[JudgeServer]:
    server = JudgeServer(reply)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.stop()
        thread.join()
