"""What a task asks on its way to the model or the scorer, written down for people to look at as it passes."""

from collections.abc import Iterator
from pathlib import Path

from hermes.harness.records.store import Store
from hermes.harness.records.stored_samples import Lines, pictures_path, read_samples, samples_path
from hermes.harness.records.types import GenerationConfig
from hermes.harness.run.plan import Keyed, Task, keyed
from hermes.harness.system.disk import new_file, new_lines
from hermes.harness.system.errors import HermesError
from hermes.harness.system.processes import current


def stored_samples(task: Task, store: Store) -> Path:
    """The file that `written` leaves."""
    return samples_path(store.folder, task.data.info.fingerprint)


def samples_stand(task: Task, store: Store) -> bool:
    """Whether that file is there, and the first picture that it does not hold is where the task has it now.

    The samples of data that were moved are the same, and only their pictures lie elsewhere.
    """
    path = stored_samples(task, store)
    if not path.is_file():
        return False
    try:
        stored = (one for sample in read_samples(path) for one in sample.pictures if one.path or one.cell)
        return next(stored, None) == task.data.picture
    except HermesError:  # damaged
        return False


def written(task: Task, config: GenerationConfig, store: Store) -> Iterator[Keyed]:
    """As `keyed`; the main process writes the samples on the way unless those of the store stand.

    The file is there when all have passed. The rows are not read again for it, and no sample is held.
    """
    path = stored_samples(task, store)
    if not current().main or samples_stand(task, store):
        yield from keyed(task, config)
        return
    # The pictures end first, so that they are on the disk before the lines that refer to them.
    with new_lines(path) as add, new_file(pictures_path(path)) as pictures:
        lines = Lines(pictures.write)
        for one in keyed(task, config):
            if one.number == 0:
                add(lines.line(one.sample, one.asked, one.whole))
            yield one
