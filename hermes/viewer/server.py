"""`hermes view`: the pages on this machine's own address, with data read from the stores as they are asked for.

Only this machine can connect, and only its own pages can read: a request that names another host (DNS rebinding) or
comes from another site's page is refused.
"""

import signal
import socket
import sys
import threading
import webbrowser
from collections.abc import Awaitable, Callable, Mapping
from os import environ
from typing import TYPE_CHECKING

from hermes.harness.system.errors import HermesError, MissingExtra
from hermes.harness.system.text import say
from hermes.viewer.pages import page_file
from hermes.viewer.script import script
from hermes.viewer.site import Site

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

HOST, PORT = "127.0.0.1", 8484
HOSTS = (HOST, "localhost")
TRIES = 50  # Ports after the usual one that are tried where it is taken.
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
OWN_PAGES = ("same-origin", "none")
"""What Sec-Fetch-Site says of a request by one of our pages, or by a person who typed the address."""


def serve(site: Site, port: int | None, open_browser: bool) -> None:
    """Serve until the command is stopped. Raises HermesError where the port is taken, MissingExtra without Starlette.

    Without a ``port`` the next free one is taken.
    """
    try:
        import uvicorn
    except ImportError:
        raise MissingExtra("hermes view", "view") from None
    app = application(site)
    listener = _listener(port)
    address = f"http://{HOST}:{listener.getsockname()[1]}/"
    say(f"looking at {', '.join(map(str, site.paths))} on {address} (stop it with Ctrl-C)")
    if open_browser and _has_screen():
        threading.Timer(0.5, webbrowser.open, (address,)).start()
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False))
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        server.run(sockets=[listener])
    except KeyboardInterrupt:
        pass  # This is how a person ends it.
    finally:
        signal.signal(signal.SIGINT, before)


def application(site: Site) -> "Starlette":
    """The web application. Raises MissingExtra where Starlette is not installed."""
    try:
        from starlette.applications import Starlette
        from starlette.middleware import Middleware
        from starlette.middleware.base import BaseHTTPMiddleware
        from starlette.middleware.trustedhost import TrustedHostMiddleware
        from starlette.responses import Response
        from starlette.routing import Route
    except ImportError:
        raise MissingExtra("hermes view", "view") from None

    def page(request: "Request") -> "Response":
        found = page_file(request.path_params.get("name", "index.html"))
        return Response(status_code=404) if found is None else Response(found[0], media_type=found[1])

    def data(request: "Request") -> "Response":
        name = request.path_params["name"]
        try:
            payload = site.payload(name)
        except (HermesError, OSError) as error:
            return Response(str(error), status_code=500, media_type="text/plain")
        if payload is None:
            return Response(status_code=404)
        return Response(script(name, payload), media_type="text/javascript")

    def media(request: "Request") -> "Response":
        found = site.pictures.file(request.path_params["name"])
        return Response(status_code=404) if found is None else Response(found[0], media_type=found[1])

    async def own_pages(request: "Request", handle: Callable[["Request"], Awaitable["Response"]]) -> "Response":
        if request.headers.get("sec-fetch-site", "none") not in OWN_PAGES:
            response = Response("only the viewer's own pages may read this", status_code=403, media_type="text/plain")
        else:
            response = await handle(request)
        response.headers.update(HEADERS)
        return response

    return Starlette(
        routes=[
            Route("/", page),
            Route("/data/{name:path}.js", data),
            Route("/media/{name}", media),
            Route("/{name}", page),
        ],
        middleware=[
            Middleware(TrustedHostMiddleware, allowed_hosts=list(HOSTS), www_redirect=False),
            Middleware(BaseHTTPMiddleware, dispatch=own_pages),
        ],
    )


def _listener(port: int | None) -> socket.socket:
    """A socket that listens on this machine alone."""
    for wanted in [port] if port is not None else range(PORT, PORT + TRIES):
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, sys.platform != "win32")
        try:
            listener.bind((HOST, wanted))
            listener.listen()
            return listener
        except OSError:
            listener.close()
    if port is not None:
        raise HermesError(f"port {port} is taken or not allowed; give another --port, or none")
    raise HermesError(f"no port from {PORT} to {PORT + TRIES - 1} is free; give another --port")


def _has_screen(variables: Mapping[str, str] = environ) -> bool:
    """Whether a browser can be opened that a person sees: a text browser would take the terminal."""
    shown = sys.platform in ("darwin", "win32") or bool(variables.get("DISPLAY") or variables.get("WAYLAND_DISPLAY"))
    return shown and "SSH_CONNECTION" not in variables
