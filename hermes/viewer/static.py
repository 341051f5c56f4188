"""`hermes view --static`: the pages with all their data as files, which open from disk and suit any static hosting."""

import shutil
from pathlib import Path

from hermes.harness.system.errors import HermesError
from hermes.harness.system.progress import Progress, Silent
from hermes.viewer.pages import page_file, page_names
from hermes.viewer.script import START, script
from hermes.viewer.site import Site

DATA, MEDIA = "data", "media"


def write_site(site: Site, out: Path, progress: Progress | None = None) -> int:
    """Write all pages, data and pictures to a folder; returns how many files of data there are.

    What an earlier call has left there is replaced. Raises HermesError where the folder holds something else.
    """
    try:
        if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not _is_site(out))):
            raise HermesError(f"{out} holds something else than a site; give an empty folder")
        for name in (DATA, MEDIA):
            shutil.rmtree(out / name, ignore_errors=True)
            (out / name).mkdir(parents=True)
        for name in page_names():
            if found := page_file(name):
                (out / name).write_bytes(found[0])
        return _write_data(site, out, progress or Silent())
    except OSError as error:
        raise HermesError(f"{out} cannot be written ({error.strerror}); give another folder") from None


def _is_site(folder: Path) -> bool:
    """Whether an earlier call has written the folder."""
    index = folder / DATA / "index.js"
    return index.is_file() and index.read_bytes().startswith(START)


def _write_data(site: Site, out: Path, progress: Progress) -> int:
    names = list(site.names())
    progress.start("site", len(names))
    pictures: set[str] = set()
    for name in names:
        path = out / DATA / f"{name}.js"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(script(name, site.payload(name)))
        for picture in site.pictures.names():
            if picture not in pictures and (found := site.pictures.file(picture)):
                (out / MEDIA / picture).write_bytes(found[0])
                pictures.add(picture)
        site.pictures.forget()
        progress.advance()
    return len(names)
