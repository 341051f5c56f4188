"""A chat endpoint on 127.0.0.1 that answers captions with prepared replies, or with an HTTP status."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class CaptionServer:
    """``replies`` maps captions to text or to a status; ``asked`` lists the captions in the order they came."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.replies: dict[str, str | int] = {}
        self.asked: list[str] = []


@contextmanager
def caption_server() -> Iterator[CaptionServer]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            sent = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            caption = sent["messages"][-1]["content"].rpartition("Caption: ")[2]
            state.asked.append(caption)
            reply = state.replies.get(caption, 500)
            if isinstance(reply, int):
                return self._send(reply, {"error": {"message": f"no answer to {caption}"}})
            message = {"role": "assistant", "content": reply}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            return self._send(
                200, {"id": "1", "object": "chat.completion", "model": sent["model"], "choices": [choice]}
            )

        def _send(self, status: int, content: object) -> None:
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state = CaptionServer(f"http://127.0.0.1:{server.server_port}/v1")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
