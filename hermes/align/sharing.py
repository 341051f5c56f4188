"""What self-plays that begin alike leave for each other, so that an ablation draws each candidate once.

Only answers are shared, as journals with their images. Each self-play reads them as if it had been interrupted after
the last answer, so nothing that it computes from them depends on sharing.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SCORED = shutil.ignore_patterns("results.json", "result.json", "report.*", "scores.jsonl", "environment.json", ".lock")


class Shared:
    """Answers under ``folder``, by what they depend on; without a folder nothing is taken or left."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder

    def take(self, depends_on: Mapping[str, Any], into: Path, media: Path) -> None:
        """Copy what another self-play left to ``into``, and its images to ``media``; nothing where ``into`` exists."""
        place = self._place(depends_on)
        if place is None or not place.is_dir() or into.exists():
            return
        part = into.with_name(f".{into.name}.{os.getpid()}.part")
        shutil.rmtree(part, ignore_errors=True)
        shutil.copytree(place / "answers", part)
        for image in (place / "media").iterdir():
            media.mkdir(parents=True, exist_ok=True)
            if not (media / image.name).exists():
                link_or_copy(image, media / image.name)
        part.rename(into)

    def leave(self, depends_on: Mapping[str, Any], answers: Path, media: Path) -> None:
        """Keep a copy of the folder ``answers`` and of all images in ``media``, unless there is one."""
        place = self._place(depends_on)
        if place is None or place.is_dir():
            return
        part = place.with_name(f".{place.name}.{os.getpid()}.part")
        shutil.rmtree(part, ignore_errors=True)
        shutil.copytree(answers, part / "answers", ignore=SCORED)
        (part / "media").mkdir(exist_ok=True)
        if media.is_dir() and not media.is_relative_to(answers):
            for image in media.iterdir():
                link_or_copy(image, part / "media" / image.name)
        try:
            part.rename(place)
        except OSError:  # Another process left the same answers in the meantime.
            shutil.rmtree(part, ignore_errors=True)

    def _place(self, depends_on: Mapping[str, Any]) -> Path | None:
        if self.folder is None:
            return None
        text = json.dumps(depends_on, sort_keys=True, default=str)
        return self.folder / hashlib.sha256(text.encode()).hexdigest()[:16]


def link_or_copy(source: Path, target: Path) -> None:
    """A hard link where the file system has them; images are written once and never changed."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
