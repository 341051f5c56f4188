"""Reads score files line by line: no file is held whole."""

from collections.abc import Iterator
from pathlib import Path

from pydantic import ConfigDict, ValidationError

from hermes.harness.records.types import Score
from hermes.harness.system.errors import HermesError
from hermes.harness.system.failures import file_error


class _Line(Score):
    """A score as a file has it; fields that this version does not know are passed over."""

    model_config = ConfigDict(extra="ignore")


def scores_of(path: Path) -> Iterator[Score]:
    """Every score, in order. Raises HermesError for a file that cannot be read and for a line that is no score."""
    try:
        with path.open("rb") as lines:
            for line in lines:
                yield _Line.model_validate_json(line)
    except OSError as error:
        raise file_error(path, error, "evaluate the round again") from None
    except ValidationError:
        raise HermesError(f"{path} holds a line that is no score; `hermes score` writes it again") from None
