"""Stored answers as the replay model takes them: from run folders, folders of one task, and files of responses."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from hermes.harness.data.answer_lines import as_id
from hermes.harness.data.files import line_objects
from hermes.harness.records.images import ImageHandle
from hermes.harness.records.journal import MARK, unsealed
from hermes.harness.records.types import Response
from hermes.harness.system.disk import read_json
from hermes.harness.system.errors import HermesError, ImageError

LINE = '{"id" or "sample_id", "index", and one of "response" or "text" (text), "image" (a path)}'
JOURNALS = "responses.*.jsonl"
FILE = "responses.jsonl"
RUN = "run.json"


@dataclass(frozen=True)
class Stored:
    """One stored answer. ``content`` is the text, the hash of the image's file, or why there is neither.

    ``prompt_sha256`` and ``seed`` say which request it answers, where that was stored; ``where`` names its file;
    ``truncated``, ``prompt_cut`` and ``plan`` are those of the response.
    """

    sample_id: str
    index: int
    kind: Literal["text", "image", "error"]
    content: str
    where: str
    image: ImageHandle | None = None
    prompt_sha256: str | None = None
    seed: int | None = None
    truncated: bool = False
    prompt_cut: bool = False
    plan: str | None = None


def read_stored(path: str | None) -> list[Stored]:
    """All answers below the path. Raises HermesError where there are none, or that names the line it cannot read."""
    if not path:
        raise HermesError("replay: no answers are named; give replay:RUN, replay:RUN/TASK or replay:responses.jsonl")
    root = Path(path).expanduser()
    if not root.exists():
        raise HermesError(f"replay: {root} does not exist; give a run folder, a task's folder or {FILE}")
    if root.is_file():
        stored = list(_file(root))
    elif (root / FILE).is_file():
        stored = list(_file(root / FILE))
    else:
        stored = [answer for folder in _homes(root) for answer in _folder(folder)]
    if not stored:
        raise HermesError(f"replay: {root} holds no answers; give a run folder, a task's folder or {FILE}")
    return stored


def _homes(root: Path) -> list[Path]:
    """The folders that hold the journals of a run, of a store, or of a run of an older version."""
    if not (root / RUN).is_file():
        return sorted({journal.parent for level in ("", "*/") for journal in root.glob(level + JOURNALS)})
    content = read_json(root / RUN, "give another run folder")
    try:
        return [root / content["root"] / places["answers"] for places in content["tasks"].values()]
    except (KeyError, TypeError, AttributeError):
        raise HermesError(f"replay: {root / RUN} is not what a run has written; give another run folder") from None


def _folder(folder: Path) -> Iterator[Stored]:
    """The answers of one task, as a run stores them: the last answer to each request, an error where there is none."""
    found: dict[tuple[str, str, int], Response] = {}
    for path in sorted(folder.glob(JOURNALS)):
        for number, line in enumerate(path.read_bytes().splitlines(keepends=True), 1):
            response = _response(line, f"{path} line {number}")
            if response is not None:
                key = (response.key, response.sample_id, response.index)
                if key not in found or response.error is None:
                    found[key] = response
    for response in found.values():
        yield from _of_response(response, _media(folder), str(folder))


def _response(line: bytes, where: str) -> Response | None:
    """The response of a journal's line, None for one that is torn or damaged; older versions wrote no checksums."""
    body = unsealed(line) if MARK in line else line if line.endswith(b"\n") else None
    if body is None:
        return None
    try:
        return Response.model_validate_json(body)
    except ValueError:
        raise HermesError(f"{where} is not a response of a run; remove the line") from None


def _media(folder: Path) -> Path:
    """Where the images of a task's folder are: beside it in its run, or within."""
    return folder / "media" if (folder / "media").is_dir() else folder.parent / "media"


def _of_response(response: Response, media: Path, where: str) -> Iterator[Stored]:
    """Its text and its image, of which most have one, or why there is neither."""
    path = media / f"{response.image}.png"
    image = ImageHandle(path, where=str(path)) if response.image else None
    found: list[tuple[Literal["text", "image", "error"], str, ImageHandle | None]] = []
    if response.status != "error":
        found += [("text", response.text, None)] if response.text is not None else []
        found += [("image", response.image, image)] if response.image else []
    for kind, content, shown in found or [("error", response.error or "no answer", None)]:
        yield Stored(
            response.sample_id,
            response.index,
            kind=kind,
            content=content,
            where=where,
            image=shown,
            prompt_sha256=response.prompt_sha256,
            seed=response.seed,
            truncated=response.truncated,
            prompt_cut=response.prompt_cut,
            plan=response.plan,
        )


def _file(path: Path) -> Iterator[Stored]:
    """One answer a line: records of a run, or lines as `hermes score` takes them."""
    media = _media(path.parent)
    for where, entry in line_objects(path, LINE):
        if "prompt_sha256" in entry:
            yield from _of_record(entry, media, where)
        else:
            yield _of_line(entry, path.parent, where)


def _of_record(entry: Mapping[str, Any], media: Path, where: str) -> Iterator[Stored]:
    try:
        response = Response.model_validate({key: value for key, value in entry.items() if key != "crc32"})
    except ValueError:
        raise HermesError(f"{where} is not a response of a run; expected {LINE}") from None
    yield from _of_response(response, media, where)


def _of_line(entry: Mapping[str, Any], folder: Path, where: str) -> Stored:
    ids = [key for key in ("id", "sample_id") if key in entry]
    answers = [key for key in ("response", "text", "image") if entry.get(key) is not None]
    index = entry.get("index", 0)
    if len(ids) != 1 or len(answers) != 1 or not isinstance(entry[answers[0]], str):
        raise HermesError(f"{where} holds {', '.join(entry) or 'nothing'}; expected {LINE}")
    if isinstance(index, bool) or not isinstance(index, int) or index < 0:
        raise HermesError(f"{where}: index must be a whole number from 0, not {index!r}")
    name, content = as_id(entry[ids[0]], where), entry[answers[0]]
    if answers[0] != "image":
        return Stored(name, index, "text", content, where)
    image = ImageHandle(folder / content, where=str(folder / content))
    return Stored(name, index, "image", _sha256(image), where, image)


def _sha256(image: ImageHandle) -> str:
    try:
        return image.sha256()
    except ImageError:
        return "unreadable"
