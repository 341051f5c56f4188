"""What a server says of itself before it is asked anything that costs: its model list, its version, what it offers."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from hermes.harness.models.served.reference import Way
from hermes.harness.records.types import Ability
from hermes.harness.system.endpoint.client import EndpointClient
from hermes.harness.system.errors import AskError, HermesError

KEPT = ("id", "owned_by", "root", "parent", "canonical_slug", "max_model_len")
"""Of an entry of the model list: what says which model it is. vLLM's time of creation is that of the question."""
VERSION_HEADERS = ("openai-version", "x-server-version")
NO_ROUTE = (404, 405, 501)
UNKNOWN = "unknown"


class Server(NamedTuple):
    """The model's ``entry`` in the list, {} where it has none; the server's ``version``, "" where it says none.

    ``chats``: it answers in words; ``images``: where its pictures come from, None where it draws none.
    """

    entry: dict[str, Any]
    version: str
    chats: bool
    images: Way | None

    @property
    def abilities(self) -> tuple[Ability, ...]:
        """What it can do."""
        able: dict[Ability, bool] = {
            "understanding": self.chats,
            "generation": self.images is not None,
            "editing": self.images == "chat",
        }
        return tuple(ability for ability, there in able.items() if there)

    @property
    def revision(self) -> str:
        """Who serves it in which version, as far as the server says so: "vllm 0.11.0"."""
        owner = str(self.entry.get("owned_by") or "")
        if not owner and not self.version:
            return UNKNOWN
        return f"{owner} {self.version or f'version {UNKNOWN}'}".strip()

    def fingerprint(self, model: str, host: str) -> str:
        """Twelve hexadecimal digits over all that the server says of the model, and where its pictures come from.

        Where the list does not say which weights are served (``root``), only the host tells a model from another of its
        name; where it does, another machine may go on with the same answers.
        """
        known: dict[str, Any] = {"model": model, "entry": self.entry, "version": self.version, "images": self.images}
        if "root" not in self.entry:
            known["host"] = host
        return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()[:12]


def look(client: EndpointClient, images: Way | None) -> Server:
    """Ask for list and version, and whether there are the two ways to be asked, with bodies that every server refuses.

    ``images`` is what the reference says of its pictures. Raises HermesError where no server is there, the key is
    wrong, or it can neither answer nor draw.
    """
    listed = _list(client)
    entry = next((one for one in listed if one.get("id") == client.settings.model), {})
    said = entry.get("architecture")
    made = said.get("output_modalities") if isinstance(said, Mapping) else None
    gives = [str(one) for one in made] if isinstance(made, list) else []
    way: Way | None = images
    if way is None and _has(client, "/images/generations"):
        way = "endpoint"
    if way is None and "image" in gives:
        way = "chat"
    server = Server(
        entry={name: entry[name] for name in KEPT if entry.get(name) is not None},
        version=_version(client),
        chats=(not gives or "text" in gives) and _has(client, "/chat/completions"),
        images=way,
    )
    if not server.abilities:
        raise HermesError(
            f"openai:{client.settings.model} at {client.settings.address} has neither chat completions nor images; "
            "check the model's name and the address, which usually ends in /v1"
        )
    return server


def _list(client: EndpointClient) -> list[Mapping[str, Any]]:
    """The entries of the model list; none where there is no list."""
    import openai

    try:
        reply = client.look(lambda sdk: sdk.get("/models", cast_to=object))
    except AskError:
        return []
    if isinstance(reply, openai.APIStatusError) and reply.status_code in (401, 403):
        raise client.status_error(reply)
    data = reply.get("data") if isinstance(reply, Mapping) else None
    return [one for one in data if isinstance(one, Mapping)] if isinstance(data, list) else []


def _version(client: EndpointClient) -> str:
    """What /version says (vLLM), else a header of the list; "" where neither says anything."""
    url = urlsplit(client.settings.address)
    try:
        reply = client.look(lambda sdk: sdk.get(f"{url.scheme}://{url.netloc}/version", cast_to=object))
        said = reply.get("version") if isinstance(reply, Mapping) else None
        if isinstance(said, str) and said.strip():
            return said.strip()[:80]
        raw = client.look(lambda sdk: sdk.models.with_raw_response.list())
        headers = getattr(raw, "headers", {})
        return next((str(headers[name])[:80] for name in VERSION_HEADERS if name in headers), "")
    except AskError:
        return ""


def _has(client: EndpointClient, path: str) -> bool:
    """Whether the server has the path for this model: a question without a prompt is refused there, free of charge."""
    import openai

    body = {"model": client.settings.model}
    try:
        reply = client.look(lambda sdk: sdk.post(path, cast_to=object, body=body))
    except AskError:  # it is slow, or says strange things: the first question will tell
        return True
    if not isinstance(reply, openai.APIStatusError):
        return True
    return reply.status_code not in NO_ROUTE and reply.param != "model"
