"""Pictures that a task of lmms-eval makes: each anew when it is asked for, known by the hash that it had at first."""

from typing import Any

from hermes.harness.records.images import ImageHandle
from hermes.harness.system.errors import ImageError


def digest_of(source: Any, where: str) -> str:
    """The hash of a picture; of one that does not decode, why."""
    try:
        return ImageHandle(source, where).sha256()
    except ImageError as error:
        return str(error)
