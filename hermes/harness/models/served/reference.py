"""How a served model is named: openai:NAME@URL, with ?images=chat or ?images=endpoint where its pictures come from."""

import os
from collections.abc import Mapping
from typing import Literal, NamedTuple, cast, get_args

from hermes.harness.system.endpoint.settings import EndpointSettings, Use, read_settings
from hermes.harness.system.errors import HermesError
from hermes.harness.system.registry import split_reference

MODEL = Use("model", concurrency=32, timeout=300.0)
Way = Literal["endpoint", "chat"]
"""Where pictures come from: the images endpoint, or replies of the chat."""
OPTION = "?images="


class Reference(NamedTuple):
    """The endpoint, and where its pictures come from; None: what the server offers."""

    settings: EndpointSettings
    images: Way | None


def read_reference(reference: str, environment: Mapping[str, str] = os.environ) -> Reference:
    """What "openai:NAME[@URL][?images=WAY]" says. Raises HermesError where it makes no sense; sends no request."""
    where, option, way = (split_reference(reference)[1] or "").partition(OPTION)
    if option and way not in get_args(Way):
        raise HermesError(f"model {reference}: images={way} is unknown; give {' or '.join(get_args(Way))}")
    return Reference(read_settings(where, environment, MODEL), cast(Way, way) if option else None)
