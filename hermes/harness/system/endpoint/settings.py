"""Where an OpenAI-compatible endpoint is and how it may be used, read from a name and the environment."""

import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import SplitResult, urlsplit

from hermes.harness.system.errors import HermesError

OPENAI = "https://api.openai.com/v1"


class Use(NamedTuple):
    """What an endpoint is asked as, "judge" or "model"; its variables are HERMES_JUDGE_CONCURRENCY and so on."""

    kind: str
    concurrency: int
    timeout: float

    def variable(self, name: str) -> str:
        """The environment variable of a setting, such as "RPM"."""
        return f"HERMES_{self.kind.upper()}_{name}"


JUDGE = Use("judge", concurrency=8, timeout=60.0)


@dataclass(frozen=True)
class EndpointSettings:
    """One model behind one address.

    ``requests_a_minute`` and ``price`` (dollars per million tokens in and out) are None where they were not given.
    A question is tried 1 + ``retries`` times; the waits between double from ``backoff`` seconds on, up to eight.
    ``timeout`` is that of one try in seconds, from the question to the last byte of its reply.
    """

    model: str
    address: str
    key: str = field(default="none", repr=False)
    concurrency: int = JUDGE.concurrency
    requests_a_minute: float | None = None
    price: tuple[float, float] | None = None
    retries: int = 6
    backoff: float = 0.5
    timeout: float = JUDGE.timeout

    @property
    def host(self) -> str:
        """The address without scheme and path: "api.openai.com", "127.0.0.1:8000"."""
        return urlsplit(self.address).netloc


def read_settings(
    argument: str | None, environment: Mapping[str, str] = os.environ, use: Use = JUDGE
) -> EndpointSettings:
    """The settings of "openai:<argument>", that is MODEL or MODEL@http://HOST:PORT/v1.

    From the environment: OPENAI_BASE_URL, OPENAI_API_KEY, and as ``use`` names them, here for a judge:
    HERMES_JUDGE_CONCURRENCY, HERMES_JUDGE_RPM, HERMES_JUDGE_TIMEOUT, HERMES_JUDGE_PRICE ("IN,OUT"). Raises HermesError
    for what is missing or makes no sense; sends no request.
    """
    found = re.fullmatch(r"(?P<model>.+?)(?:@(?P<address>https?:.*))?", argument or "", re.DOTALL)
    if found is None or not found["model"].strip():
        raise HermesError(f"the {use.kind} openai needs a model; give openai:MODEL or openai:MODEL@http://HOST:PORT/v1")
    model, given = found["model"].strip(), found["address"]
    if not given and "@" in model:
        raise HermesError(f"{use.kind} openai:{model}: the address behind '@' must begin with http:// or https://")
    address = (given or environment.get("OPENAI_BASE_URL") or OPENAI).strip().rstrip("/")
    url = _url(address)
    key = environment.get("OPENAI_API_KEY", "").strip()
    if not key and not is_local(url.hostname or ""):
        raise HermesError(f"the {use.kind} openai:{model} at {url.netloc} needs a key; set OPENAI_API_KEY")
    if not (key.isascii() and key.isprintable()):
        raise HermesError("OPENAI_API_KEY contains characters that no key has; set it again")
    return EndpointSettings(
        model=model,
        address=address,
        key=key or "none",
        concurrency=_number(environment, use.variable("CONCURRENCY"), int) or use.concurrency,
        timeout=_number(environment, use.variable("TIMEOUT"), float) or use.timeout,
        requests_a_minute=_number(environment, use.variable("RPM"), float),
        price=_price(environment, use.variable("PRICE")),
    )


def _url(address: str) -> SplitResult:
    """The parts of the address. Raises HermesError where it is not one, or has a password, which logs show."""
    try:
        url = urlsplit(address)
        port_is_right = url.port is None or url.port > 0
    except ValueError:
        port_is_right = False
    if not port_is_right or url.scheme not in ("http", "https") or not url.hostname or re.search(r"\s", address):
        raise HermesError(f"{address!r} is not the address of an endpoint; give one such as http://127.0.0.1:8000/v1")
    if "@" in url.netloc or url.query or url.fragment:
        raise HermesError(f"the address of {url.hostname} must end in its path; give a key through OPENAI_API_KEY")
    return url


def is_local(host: str) -> bool:
    """Whether the host is this machine or one of a private network, where most servers need no key."""
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return "." not in host or host.endswith((".local", ".localhost", ".internal"))


def _number(environment: Mapping[str, str], name: str, kind: type[Any]) -> Any:
    """The positive number that the variable holds; None where it is not set."""
    text = environment.get(name, "").strip()
    if not text:
        return None
    try:
        number = kind(text)
    except ValueError:
        number = 0
    if not 0 < number < float("inf"):
        raise HermesError(f"{name}={text!r} is not a positive {'whole ' if kind is int else ''}number; fix or unset it")
    return number


def _price(environment: Mapping[str, str], name: str) -> tuple[float, float] | None:
    text = environment.get(name, "").strip()
    if not text:
        return None
    try:
        tokens_in, tokens_out = (float(part) for part in text.split(","))
    except ValueError:
        tokens_in = tokens_out = -1.0
    if not (0 <= tokens_in < float("inf") and 0 <= tokens_out < float("inf")):
        raise HermesError(f"{name}={text!r} is not 'IN,OUT', dollars per million tokens; fix or unset it")
    return tokens_in, tokens_out
