"""Which commit of a hub data set is read: that of the first run under a root, until somebody asks for a newer one."""

from collections.abc import Mapping
from pathlib import Path

from hermes.harness.system.disk import locked, read_json, write_json
from hermes.harness.system.errors import HermesError

FILE = "data.json"
LOCK = ".data.lock"


class Pins:
    """The commits by data set. ``update`` reads the newest ones instead, which are then the ones to stay at."""

    def __init__(self, known: Mapping[str, str] | None = None, root: Path | None = None, update: bool = False) -> None:
        self._known, self._root, self._update = dict(known or {}), root, update
        self._read: dict[str, str] = {}

    @classmethod
    def of_root(cls, root: Path, update: bool) -> "Pins":
        """The commits that runs under this root have read."""
        return cls(_stored(root), root, update)

    def wanted(self, name: str, revision: str | None) -> str | None:
        """The commit to read: ``revision`` where one is asked for; None for the newest."""
        if revision is not None:
            return revision
        return self._read.get(name, None if self._update else self._known.get(name))

    def read(self, name: str, revision: str | None, commit: str) -> None:
        """Say which commit was read; one that was asked for by name changes nothing for other runs."""
        if revision is None:
            self._read[name] = commit

    def keep(self) -> None:
        """Note the commits that were read, so that later runs stay at them."""
        if self._root is None or self._read.items() <= _stored(self._root).items():
            return
        with locked(self._root, wait=lambda: None, name=LOCK):
            write_json(self._root / FILE, _stored(self._root) | self._read)


def _stored(root: Path) -> dict[str, str]:
    path = root / FILE
    try:
        return read_json(path) if path.is_file() else {}
    except HermesError:
        raise HermesError(f"{path} is damaged; remove it, and the newest commits are read") from None
