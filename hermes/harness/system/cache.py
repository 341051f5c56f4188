"""Where checkpoints and the replies of endpoints are kept between runs, and the hash that names a checkpoint."""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

from hermes.harness.system.failures import file_error


def cache_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """HERMES_CACHE, or ~/.cache/hermes."""
    return Path(environment.get("HERMES_CACHE") or "~/.cache/hermes").expanduser()


def file_sha256(path: Path) -> str:
    """The hash of a file's bytes. Raises HermesError where it cannot be read."""
    try:
        with path.open("rb") as file:
            digest = hashlib.sha256()
            while block := file.read(1 << 22):
                digest.update(block)
            return digest.hexdigest()
    except OSError as error:
        raise file_error(path, error, "give a file that can") from None
