"""The pages of the viewer: HTML, CSS and JavaScript of our own, the same for the server and for a static site."""

from functools import cache
from pathlib import Path

HOME = Path(__file__).parent
TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


@cache
def page_names() -> tuple[str, ...]:
    """The files that a browser asks for."""
    return tuple(sorted(path.name for path in HOME.iterdir() if path.suffix in TYPES))


def page_file(name: str) -> tuple[bytes, str] | None:
    """Content and media type of a page's file; None where there is no such file."""
    if name not in page_names():
        return None
    return (HOME / name).read_bytes(), TYPES[Path(name).suffix]
