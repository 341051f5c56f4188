"""A real headless browser, and what it must never do: print an error, or ask another host for anything."""

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")

PATIENCE = 30_000  # Milliseconds: a loaded machine must not turn a right answer into a failure.


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Any static hosting: the address of a folder while it is served."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/index.html"
        server.shutdown()


@contextmanager
def visiting(chrome: Any, address: str, width: int = 1280, scheme: str = "light") -> Iterator[Any]:
    """A page of Playwright; fails where it printed anything or asked elsewhere than beside the address."""
    base = address.partition("#")[0].rpartition("/")[0]
    wrong: list[str] = []
    size = {"width": width, "height": 800}
    with chrome.new_context(viewport=size, color_scheme=scheme) as context:
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.on("console", lambda message: wrong.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: wrong.append(f"uncaught: {error}"))
        page.on(
            "request", lambda request: None if request.url.startswith((base, "data:")) else wrong.append(request.url)
        )
        page.goto(address)
        yield page
    assert not wrong, wrong
