"""What a task asks on its way to the model or the scorer, written down for people to look at as it passes."""

from collections.abc import Iterator
from pathlib import Path

from hermes.harness.records.store import Store
from hermes.harness.records.stored_samples import Lines, pictures_path, samples_path
from hermes.harness.records.types import GenerationConfig
from hermes.harness.run.plan import Keyed, Task, keyed
from hermes.harness.system.disk import new_file, new_lines
from hermes.harness.system.processes import current


def stored_samples(task: Task, store: Store) -> Path:
    """The file that `written` leaves."""
    return samples_path(store.folder, task.data.info.fingerprint)


def written(task: Task, config: GenerationConfig, store: Store) -> Iterator[Keyed]:
    """As `keyed`; the main process writes the samples on the way where the store does not hold them yet.

    The file is there when all have passed. The rows are not read again for it, and no sample is held.
    """
    path = stored_samples(task, store)
    if path.is_file() or not current().main:
        yield from keyed(task, config)
        return
    # The pictures end first, so that they are on the disk before the lines that refer to them.
    with new_lines(path) as add, new_file(pictures_path(path)) as pictures:
        lines = Lines(pictures.write)
        for one in keyed(task, config):
            if one.number == 0:
                add(lines.line(one.sample, one.asked, one.whole))
            yield one
