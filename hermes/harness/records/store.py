"""The answers of one model to one task: journals of responses and judgements, and the pictures that they point to."""

import hashlib
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from PIL import Image

from hermes.harness.records.images import ImageHandle, png_bytes
from hermes.harness.records.journal import Index, Journal
from hermes.harness.records.keys import slug_with_hash
from hermes.harness.records.types import Judgement, Response
from hermes.harness.system.disk import make_folder, remove_parts, sync_file, sync_folder, write_new
from hermes.harness.system.errors import HermesError

MADE = ("scores", "samples")  # folders of what is made of answers and data
PICTURE = re.compile(r"[0-9a-f]{64}\.png")


class Store:
    """One folder.

    ``responses.<rank>.jsonl``, ``media/<sha256>.png``, ``judgements/<judge>/``, ``scores/`` and ``samples/``.
    """

    def __init__(self, folder: Path, rank: int = 0) -> None:
        self.folder, self.rank = folder, rank
        self.media = folder / "media"
        self.responses = Journal(folder, "responses", Response, rank)

    def judgements(self, judge: str) -> Journal[Judgement]:
        """What the judge of this identity said."""
        return Journal(self.folder / "judgements" / slug_with_hash(judge), "judgements", Judgement, self.rank)

    def keep_images(self, images: Iterable[Image.Image]) -> list[str]:
        """Store images as PNG, each once; returns the sha256 of their bytes when all are on the disk.

        A stored file that is not what its name says is replaced. One that is there may be the work of a process that
        was killed, or of a call that failed, before the folder was synced, so this is done in any case.
        """
        digests = []
        make_folder(self.media)
        for image in images:
            data = png_bytes(image)
            digests.append(hashlib.sha256(data).hexdigest())
            path = self.media / f"{digests[-1]}.png"
            if not path.is_file() or path.read_bytes() != data:
                write_new(path, data)
        sync_folder(self.media)
        return digests

    def image(self, response: Response) -> ImageHandle:
        """The stored picture of a response that has one."""
        if response.image is None:
            raise ValueError(f"response {response.sample_id}/{response.index} holds no image")
        path = self.media / f"{response.image}.png"
        return ImageHandle(path, where=f"{path} ({response.sample_id}, image {response.index})")

    def verified(self, response: Response) -> bool:
        """Whether the stored picture is what was drawn; a damaged file is removed, so that it is drawn again."""
        return _is_whole(self.media / f"{response.image}.png", str(response.image))

    def pictures(self) -> set[int]:
        """The pictures that are there now, each as a number made of its name."""
        names = os.listdir(self.media) if self.media.is_dir() else []
        return {_number(name) for name in names if PICTURE.fullmatch(name)}

    def answered(self, index: Index[Response], keys: Sequence[str], pictures: set[int] | None) -> list[bool]:
        """For each key whether it has an answer; one whose picture is not among ``pictures`` is none.

        Processes that share the work must give what was there before any of them began. None: answers are texts.
        """
        if pictures is None:
            return list(index.answered(keys))
        return [
            response is not None
            and response.error is None
            and (response.image is None or _number(response.image) in pictures)
            for response in index.get(keys)
        ]

    def tidy(self) -> None:
        """Remove what killed processes have left half written, and sync what they have left unsynced.

        Otherwise a power cut could take lines that this process has read. The caller must hold the store's lock.
        """
        for folder in (self.folder, self.media, *map(self.folder.joinpath, MADE), *self.folder.glob("judgements/*/")):
            if folder.is_dir():
                remove_parts(folder)
                for journal in folder.glob("*.jsonl"):
                    sync_file(journal)
                make_folder(folder)
                sync_folder(folder)


def _number(picture: str) -> int:
    return int(picture[:16], 16)


def fetch(digests: Iterable[str], store: Store, media: Path, remedy: str) -> None:
    """Bring pictures from a store to another folder of pictures, as links where the file system has them.

    Raises HermesError, with the ``remedy``, for one that the store does not hold whole; a damaged file is removed.
    """
    wanted = dict.fromkeys(digests)
    if wanted:
        make_folder(media)
    for digest in wanted:
        source, target = (folder / f"{digest}.png" for folder in (store.media, media))
        if target.is_file():
            continue
        if not _is_whole(source, digest):
            raise HermesError(f"the picture {source} is missing or damaged; {remedy}")
        try:
            os.link(source, target)
        except OSError:
            write_new(target, source.read_bytes())
    if wanted:
        sync_folder(media)


def _is_whole(path: Path, digest: str) -> bool:
    """Whether the file has the content that its name promises; one that has another is removed."""
    try:
        whole = hashlib.sha256(path.read_bytes()).hexdigest() == digest
    except FileNotFoundError:
        return False
    if not whole:
        path.unlink(missing_ok=True)
    return whole
