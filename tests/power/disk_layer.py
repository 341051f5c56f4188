"""Records every operation on the files below a folder while commands run in this process."""

import _pyio
import builtins
import io
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from stat import S_ISDIR
from types import TracebackType
from typing import Any

from disk_image import ROOT, Op, after_cut, whole, write_tree


class Recording:
    """The operations below ``root``, in order, in ``ops``; a context manager that takes the place of `os`' functions.

    Python's own files go through `_pyio`, whose reads and writes are `os.read` and `os.write`. What a library writes
    from native code is seen when the file is opened, synced or renamed; its path is then noted in ``native``. With
    ``before``, operations of a recording whose process died, ``root`` begins as that one left it.
    """

    def __init__(self, root: Path, before: "Recording | None" = None, until: int = 0) -> None:
        self.root = root.resolve()
        self.ops: list[Op] = list(before.ops[:until]) if before else []
        self.kinds: dict[int, bool] = dict(before.kinds) if before else {ROOT: True}
        self.image = after_cut(self.ops, self.kinds, whole)
        self.native: list[str] = []
        self._real: dict[tuple[Any, str], Callable[..., Any]] = {}
        self._numbers = {_key(self.root.stat()): ROOT}
        for path, number in write_tree(self.image, self.root).items():
            self._numbers[_key((self.root / path).stat())] = number

    def __enter__(self) -> "Recording":
        for name in ("open", "write", "fsync", "truncate", "ftruncate", "replace", "rename", "link"):
            self._patch(os, name, getattr(self, f"_{name}"))
        for name in ("mkdir", "unlink", "remove", "rmdir"):
            self._patch(os, name, self._mkdir if name == "mkdir" else self._removing(name))
        for home in (builtins, io):
            self._patch(home, "open", self._open_file)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for (home, name), function in self._real.items():
            setattr(home, name, function)

    def _patch(self, home: Any, name: str, function: Callable[..., Any]) -> None:
        self._real[home, name] = getattr(home, name)
        setattr(home, name, function)

    def _os(self, name: str) -> Callable[..., Any]:
        return self._real[os, name]

    # Where a path leads to

    def _place(self, path: Any, dir_fd: int | None = None) -> tuple[int, str] | None:
        """The folder's number and the name in it; None for what is not below the root."""
        if dir_fd is not None:
            folder = self._number(dir_fd)
            return None if folder is None else (folder, os.fsdecode(path))
        above, name = os.path.split(os.path.abspath(os.fsdecode(path)))
        folder = self._number(above)
        return None if folder is None else (folder, name)

    def _number(self, file: Any) -> int | None:
        """The number of an open or named file or folder; None for what is not below the root."""
        try:
            return self._numbers.get(_key(os.stat(file)))
        except OSError:
            return None

    def _path(self, place: tuple[int, str]) -> str:
        return f"{self._known(place[0])}/{place[1]}".lstrip("/")

    def _known(self, number: int) -> str:
        return next((path for path, child in self.image.walk() if child == number), "")

    def _do(self, kind: Any, node: int, path: str, **more: Any) -> None:
        op = Op(kind, node, path, **more)
        self.ops.append(op)
        self.image.apply(op)

    def _enter(self, place: tuple[int, str], path: Path) -> int:
        """A name that has just come into being."""
        number, is_folder = len(self.kinds), path.is_dir()
        self._numbers[_key(path.stat())], self.kinds[number] = number, is_folder
        self.image.born(number, is_folder)
        self._do("name", place[0], self._path(place), name=place[1], child=number)
        return number

    def _look(self) -> None:
        """Take over what native code has made or changed since."""
        self._settle(ROOT, self.root)
        for path, number in list(self.image.walk()):
            self._settle(number, self.root / path)

    def _settle(self, number: int, path: Path) -> None:
        """Note what the real file holds, or which names the real folder has, where it differs from what was seen."""
        if self.kinds[number]:
            known = self.image.folders[number]
            for item in sorted(path.iterdir()):
                if item.name not in known:
                    self._settle(self._enter((number, item.name), item), item)
            return
        with self._real[io, "open"](path, "rb") as file:
            content = file.read()
        if content != self.image.files[number]:
            name = path.relative_to(self.root).as_posix()
            self.native.append(name)
            self._do("size", number, name)
            self._do("write", number, name, data=content)

    def _forget(self, path: Any, dir_fd: int | None = None) -> None:
        """A name is about to go; when it is the last one, the system may give the inode to another file."""
        with suppress(FileNotFoundError):
            found = os.stat(path, dir_fd=dir_fd, follow_symlinks=False)
            if S_ISDIR(found.st_mode) or found.st_nlink == 1:
                self._numbers.pop(_key(found), None)

    # What takes the place of the functions of os, io and builtins

    def _open_file(self, file: Any, mode: str = "r", *more: Any, **named: Any) -> Any:
        place = self._number(file) if isinstance(file, int) else self._place(file)
        writes = place is not None and set(mode) & set("wax+")
        return (_pyio.open if writes else self._real[io, "open"])(file, mode, *more, **named)

    def _open(self, path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        place = self._place(path, dir_fd)
        new = place is not None and place[1] not in self.image.folders[place[0]]
        fd: int = self._os("open")(path, flags, mode, dir_fd=dir_fd)
        if place is not None and new and flags & os.O_CREAT:
            self._enter(place, self.root / self._path(place))
        number = self._number(fd)
        if number is not None and flags & os.O_TRUNC and self.image.files[number]:
            self._do("size", number, self._known(number))
        return fd

    def _write(self, fd: int, data: Any) -> int:
        written: int = self._os("write")(fd, data)
        number = self._number(fd)
        if number is not None and not self.kinds[number]:
            offset = os.lseek(fd, 0, os.SEEK_CUR) - written
            self._do("write", number, self._known(number), offset=offset, data=bytes(data)[:written])
        return written

    def _fsync(self, fd: Any) -> None:
        """The wait itself is left out: nobody cuts the power of this machine."""
        fd = fd if isinstance(fd, int) else fd.fileno()
        if self._number(fd) is None:
            self._look()
        if (number := self._number(fd)) is not None:
            self._settle(number, self.root / self._known(number))
            self._do("sync", number, self._known(number))

    def _ftruncate(self, fd: int, size: int) -> None:
        self._os("ftruncate")(fd, size)
        if (number := self._number(fd)) is not None:
            self._do("size", number, self._known(number), offset=size)

    def _truncate(self, path: Any, size: int) -> None:
        self._os("truncate")(path, size)
        if (number := self._number(path)) is not None:
            self._do("size", number, self._known(number), offset=size)

    def _replace(self, source: Any, target: Any) -> None:
        self._move("replace", source, target)

    def _rename(self, source: Any, target: Any) -> None:
        self._move("rename", source, target)

    def _move(self, how: str, source: Any, target: Any) -> None:
        old, new = self._place(source), self._place(target)
        if new is None:
            return self._os(how)(source, target)
        assert old is not None, f"{source} comes from outside"
        if old[1] not in self.image.folders[old[0]]:
            self._look()
        child = self.image.folders[old[0]][old[1]]
        self._forget(target)
        self._os(how)(source, target)
        self._do("move", new[0], self._path(new), name=new[1], child=child, old=old)

    def _link(self, source: Any, target: Any) -> None:
        self._os("link")(source, target)
        if (new := self._place(target)) is not None:
            self._do("name", new[0], self._path(new), name=new[1], child=self._number(source))

    def _mkdir(self, path: Any, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
        self._os("mkdir")(path, mode, dir_fd=dir_fd)
        if (place := self._place(path, dir_fd)) is not None:
            self._enter(place, self.root / self._path(place))

    def _removing(self, how: str) -> Callable[..., None]:
        def remove(path: Any, *, dir_fd: int | None = None) -> None:
            place = self._place(path, dir_fd)
            if place is not None:
                self._forget(path, dir_fd)
            self._os(how)(path, dir_fd=dir_fd)
            if place is not None:
                self._do("gone", place[0], self._path(place), name=place[1])

        return remove


def _key(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino
