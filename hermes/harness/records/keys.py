"""The keys under which answers and judgements are found again: hashes of all that can change them."""

import hashlib
import json
import re
from collections.abc import Sequence
from typing import Any

from hermes.harness.records.types import GenerationConfig

SIZE = 16
PREPARATION = b"1"  # raised when `pixels.prepare` makes other pixels of a file than it did
BESIDE = {"seed", "num_images"}  # the seed of a request stands for the one, its index for the other


def digest(*parts: str | bytes) -> bytes:
    """Sixteen bytes of a hash over the parts."""
    found = hashlib.blake2b(digest_size=SIZE)
    for part in parts:
        data = part.encode(errors="surrogatepass") if isinstance(part, str) else part
        found.update(len(data).to_bytes(8, "little") + data)
    return found.digest()


def short_hash(content: Any) -> str:
    """Twelve hexadecimal digits of a hash over JSON data."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[:12]


def config_mark(config: GenerationConfig) -> bytes:
    """What of the generation settings can change an answer; taken once for many requests."""
    return config.model_dump_json(exclude=BESIDE).encode()


def request_key(sample_id: str, index: int, seed: int, asked: bytes, mark: bytes) -> str:
    """The key of a request; ``asked`` stands for prompt and images, ``mark`` is `config_mark` of its settings."""
    return digest(sample_id, b"%d %d" % (index, seed), asked, mark).hex()


def judgement_key(request: str, answer: str | None, sample: bytes) -> str:
    """The key of what a judge says of one answer, its `Response.content_mark`.

    ``sample`` stands for the whole sample, so for all that the judge can be asked.
    """
    return digest(request, answer or "", sample).hex()


def asked_of(prompt: str, images: Sequence[bytes]) -> bytes:
    """What stands for a prompt with images, each named by its content's hash or its place in a pinned data set."""
    shown = (PREPARATION, *images) if images else ()
    return hashlib.blake2b(
        prompt.encode(errors="surrogatepass") + b"\0%d\0" % len(images) + b"\0".join(shown), digest_size=SIZE
    ).digest()


def slug(text: str, length: int = 48) -> str:
    """The text as the name of a file or folder: what could mean something to a file system becomes "-"."""
    return re.sub(r"[^\w.=+@,-]+", "-", text).strip("-.")[:length] or "unnamed"


def slug_with_hash(text: str) -> str:
    """As `slug`, told apart from other texts by a hash where the slug is not the text itself."""
    short = slug(text)
    return short if short == text else f"{short}-{digest(text).hex()[:8]}"
