"""What the scorer of a task wants and needs, read in its source: nothing else says which answers it looks at."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from hermes.evaluators.lmms.tasks import Found

PICTURES = re.compile(r"""\bpred\w*(?:\.get\(|\[)\s*["']images["']""")
TEXT = re.compile(r"""^\s*[a-z]\w* *= *pred\w*(?:\.get\(|\[)\s*["']text["']""", re.MULTILINE)
"""What is kept under a name that begins with "_" is not used."""
READ = re.compile(r"""(?:getenv|environ\.get|_env)\(\s*["'](\w+)["']""")
IMPORTED = re.compile(r"^\s*(?:from|import) +(lmms_eval\.tasks\.[\w.]+)", re.MULTILINE)
KEY = re.compile(r"_KEY$")
BESIDE = re.compile(r"KEY|SECRET|PASSWORD|_TOKEN$|TIMEOUT|RETR|DELAY")
"""Settings that change no verdict, or that nobody should see."""


@dataclass(frozen=True)
class Scorer:
    """``text``: the source of process_results; ``whole``: with all of lmms-eval's tasks that it imports."""

    text: str
    whole: str

    @property
    def draws(self) -> bool:
        """Whether it looks for pictures in an answer: JSON with a list "images"."""
        return PICTURES.search(self.text) is not None

    @property
    def reads_text(self) -> bool:
        """Whether it uses the "text" beside them, too."""
        return TEXT.search(self.text) is not None

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """The variables of the environment that hold the key of its judge, in the order in which they are read."""
        return tuple(name for name in self._read if KEY.search(name))

    @property
    def settings(self) -> dict[str, str]:
        """What the environment says of its judge: models, addresses without passwords, and limits."""
        said = {name: os.environ[name] for name in self._read if os.environ.get(name) and not BESIDE.search(name)}
        return {name: _address(value) for name, value in sorted(said.items())}

    @property
    def _read(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(READ.findall(self.whole)))


def scorer_of(found: Found) -> Scorer:
    """Of a task; empty where it has no function of its own."""
    module = str(getattr(found.config.get("process_results"), "value", "")).rpartition(".")[0]
    path = found.yaml.parent / f"{module}.py"
    if module and not path.is_file():
        path = _origin(module) or path
    if not module or not path.is_file():
        return Scorer("", "")
    text = _text(path)
    return Scorer(text, "\n".join(_with_imported(text, {path})))


def _with_imported(text: str, seen: set[Path]) -> Iterator[str]:
    yield text
    for name in IMPORTED.findall(text):
        path = _origin(name)
        if path is not None and path not in seen:
            seen.add(path)
            yield from _with_imported(_text(path), seen)


def _origin(module: str) -> Path | None:
    """The file of a module; what lies around it is imported, the module is not."""
    try:
        origin = getattr(find_spec(module), "origin", None)
    except (ImportError, ValueError):
        return None
    return Path(origin) if origin else None


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


def _address(value: str) -> str:
    """An address as host and path; what is none as it is."""
    url = urlsplit(value)
    return f"{url.netloc.rpartition('@')[2]}{url.path}" if url.netloc else value
