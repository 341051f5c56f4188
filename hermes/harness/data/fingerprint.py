"""What tells data from other data: one hash of all samples, and two of each, taken while the samples stream past."""

import hashlib
import json
from collections.abc import Iterable

from hermes.harness.records.images import ImageHandle
from hermes.harness.records.keys import SIZE, asked_of
from hermes.harness.records.stored_samples import Reference, in_file
from hermes.harness.records.types import REWRITTEN, Sample

DIGEST = 2 * SIZE  # Bytes of `Prints.digests` a sample: what is asked, then the whole sample.
MOST_IMAGES = 1 << 16


class Prints:
    """Takes samples one by one. ``digests`` then holds 32 bytes a sample, in order.

    The first 16 bytes hash what a model is asked: the prompt and the images' identities. The other 16 hash every field
    and the images' identities. ``pin`` (hub id and revision) stands for the images, which are not read then. ``held``
    says that the samples stay in memory, so that images that are there too can be told apart by their address.
    ``picture`` is where the first image that lies in a file is.
    """

    def __init__(self, pin: str | None = None, held: bool = False) -> None:
        self.digests = bytearray()
        self.picture: Reference | None = None
        self._pin, self._held = pin, held
        self._all = hashlib.sha256((pin or "").encode())
        self._rows = hashlib.sha256()
        self._known: dict[str | int, bytes] = {}
        self._encode = json.JSONEncoder(sort_keys=True, default=str, ensure_ascii=False).encode

    def add(self, sample: Sample) -> None:
        """Raises ImageError for an image that is none."""
        fields = sample.__dict__.copy()
        del fields["images"]
        text = self._encode(fields).encode(errors="surrogatepass")
        del fields["prompt"]
        fields["metadata"] = {key: value for key, value in sample.metadata.items() if key != REWRITTEN}
        self._rows.update(self._encode(fields).encode(errors="surrogatepass"))
        images = [self._identity(handle) for handle in sample.images]
        self.picture = self.picture or next(filter(None, map(in_file, sample.images)), None)
        self._all.update(text)
        if self._pin is None:
            for image in images:
                self._all.update(image)
        seen = b"\0%d\0" % len(images) + b"\0".join(images)
        self.digests += asked_of(sample.shown, images)
        self.digests += hashlib.blake2b(text + seen, digest_size=SIZE).digest()

    def fingerprint(self) -> str:
        """A hash of everything in the samples so far that can change an answer or a score."""
        return self._all.hexdigest()[:16]

    def rows(self) -> str:
        """A hash of all but prompts and images: of what answers are scored against."""
        return self._rows.hexdigest()[:16]

    def _identity(self, handle: ImageHandle) -> bytes:
        """The identity of an image; the last ones that were read are known."""
        key = id(handle.source) if self._held and handle.name is None else handle.name
        if self._pin is not None or key is None:
            return handle.identity(self._pin).encode()
        if key not in self._known:
            if len(self._known) >= MOST_IMAGES:
                del self._known[next(iter(self._known))]
            self._known[key] = handle.identity().encode()
        return self._known[key]


def fingerprint(samples: Iterable[Sample], pin: str | None = None) -> str:
    """A hash of everything in the samples that can change an answer or a score.

    Every image is hashed, unless ``pin`` (hub id and revision) stands for them all.
    """
    prints = Prints(pin)
    for sample in samples:
        prints.add(sample)
    return prints.fingerprint()
