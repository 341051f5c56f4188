"""What all phases of a self-play share: its settings and folders, and the model after any of its rounds."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import cast

from hermes.align.pairs.items import ItemSource
from hermes.align.play.history import round_folder
from hermes.align.settings import AlignSettings
from hermes.harness.contracts.model import Alignable
from hermes.harness.contracts.options import DType, LoadOptions, options_of
from hermes.harness.run.loading import load_model
from hermes.harness.run.shared import meet_in
from hermes.harness.run.stores import root_of
from hermes.harness.system.disk import read_json, sync_folder, write_json
from hermes.harness.system.processes import current
from hermes.harness.system.progress import Progress


class Game:
    """One self-play in one folder. ``media`` holds its real images and the pictures of its pairs."""

    def __init__(
        self, settings: AlignSettings, folder: Path, source: ItemSource, base: Alignable, progress: Progress
    ) -> None:
        self.settings, self.folder, self.source, self.progress = settings, folder, source, progress
        meet_in(folder)
        self.root, self.media = root_of(settings), folder / "media"
        self.kind, self.info = type(base), base.info
        self._loaded: tuple[int, DType, Alignable] | None = (0, settings.draw_dtype, base)

    def home(self, number: int) -> Path:
        """The folder of a round."""
        return round_folder(self.folder, number)

    def reference(self, number: int) -> str:
        """The model after round ``number`` as other commands name it."""
        return str(self.home(number) / "checkpoint") if number else self.settings.model

    def options(self, number: int) -> LoadOptions:
        """How the model after round ``number`` is loaded to draw; a checkpoint has the adapter in its weights."""
        options = drawing_options(self.settings)
        return options.model_copy(update={"adapter": None}) if number else options

    def model(self, number: int) -> Alignable:
        """The model after round ``number`` as it draws, judges and is evaluated."""
        return self._model(number, self.settings.draw_dtype)

    def model_to_train(self, number: int) -> Alignable:
        """The model after round ``number`` in the precision in which it is trained."""
        return self._model(number, self.settings.dtype)

    def model_to_change(self, number: int) -> Alignable:
        """The model that is to be trained, which is read anew the next time."""
        model, self._loaded = self.model_to_train(number), None
        return model

    def _model(self, number: int, dtype: DType) -> Alignable:
        """Read where it is not the one in memory, of which there is one at a time."""
        if self._loaded is None or self._loaded[:2] != (number, dtype):
            self._loaded = None
            options = self.options(number).model_copy(update={"dtype": dtype})
            loaded = load_model(self.reference(number), self.settings.device, options)
            self._loaded = (number, dtype, cast(Alignable, loaded))
        return self._loaded[2]

    def phase(self, home: Path, name: str, output: Path, work: Callable[[], None]) -> None:
        """Do ``work`` unless its last ``output`` is there, and note in the round's folder how long it took."""
        done = output.exists()
        if done and current().main:
            sync_folder(output.parent)  # a killed process may have left the name unsynced
        current().wait()
        if done:
            return
        current().doing(name)
        begin = time.perf_counter()
        work()
        current().wait()
        if current().main:
            write_json(home / "seconds.json", seconds_of(home) | {name: round(time.perf_counter() - begin, 2)})


def drawing_options(settings: AlignSettings) -> LoadOptions:
    """How a model is loaded that draws, judges and is evaluated."""
    return options_of(settings).model_copy(update={"dtype": settings.draw_dtype})


def seconds_of(home: Path) -> dict[str, float]:
    """How long each phase of a round took."""
    path = home / "seconds.json"
    return read_json(path) if path.exists() else {}
