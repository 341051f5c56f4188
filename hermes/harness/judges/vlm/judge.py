"""Any vision-language model of transformers as a judge: a folder, or a model of the Hugging Face hub."""

import hashlib
import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from hermes.harness.errors import HermesError
from hermes.harness.judges.base import Detections
from hermes.harness.judges.replies import PROMPT_VERSION, plain_reply

if TYPE_CHECKING:
    from PIL import Image

    from hermes.harness.judges.vlm.model import VLM

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
WEIGHTS_AND_SETTINGS = (".safetensors", ".bin", ".json", ".jinja", ".txt", ".model")


class Source(NamedTuple):
    """Where a model is: ``name`` is a folder's path or a hub id, with the ``revision`` wanted of the latter."""

    name: str
    revision: str | None
    local: bool


class VLMJudge:
    """Greedy short answers of one checkpoint; the code of checkpoints that bring their own is never run."""

    description: ClassVar[str] = "any transformers VLM: hf:FOLDER, hf:HUB_ID or hf:HUB_ID@REVISION"
    extra: ClassVar[str | None] = None
    abilities: ClassVar[tuple[str, ...]] = ("answer",)
    needs_model: ClassVar[bool] = False

    def __init__(self, model: "VLM", identity: str) -> None:
        self._model = model
        self.identity = identity

    @classmethod
    def check(cls, argument: str | None) -> None:
        """Raise HermesError for what is neither a checkpoint folder nor in the form of a hub id; asks no hub."""
        parse_source(argument)

    @classmethod
    def load(cls, argument: str | None, device: str) -> "VLMJudge":
        """The judge "hf:<argument>", in bfloat16 on CUDA and in float32 elsewhere."""
        from hermes.harness.judges.vlm.model import load_vlm

        source = parse_source(argument)
        model, commit = load_vlm(source.name, source.revision, device)
        name = Path(source.name).resolve().name if source.local else source.name
        version = fingerprint(Path(source.name)) if source.local else str(commit)[:12]
        return cls(model, f"hf-{name}-{version}-{PROMPT_VERSION}")

    def answer(self, images: "Sequence[Image.Image]", questions: Sequence[str]) -> list[str]:
        """One answer for each (image, question). Raises JudgeError where the model fails on one of them."""
        return [plain_reply(text) for text in self._model.replies(images, questions)]

    def detect(self, images: "Sequence[Image.Image]", colored: Sequence[Collection[str]]) -> list[Detections]:
        raise HermesError("the judge 'hf' cannot detect objects; use --judge mask2former")


def parse_source(argument: str | None) -> Source:
    """The source that "hf:<argument>" names. Raises HermesError where it can be none."""
    if not argument:
        raise HermesError("the judge hf needs a model; give hf:FOLDER or hf:HUB_ID[@REVISION]")
    folder = Path(argument).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise HermesError(f"judge hf: {argument} holds no config.json; give the folder of a transformers model")
        return Source(str(folder), None, local=True)
    name, at, revision = argument.partition("@")
    if at and Path(name).is_dir():
        raise HermesError(f"judge hf: {name} is a folder and has no revision; give hf:{name}")
    if not HUB_ID.fullmatch(name) or (at and not revision.strip()):
        raise HermesError(f"judge hf: {argument!r} is neither a folder that exists nor a hub id (ORGANISATION/MODEL)")
    return Source(name, revision or None, local=False)


def fingerprint(folder: Path) -> str:
    """Twelve hexadecimal digits of a hash over all files of the folder that a model, tokenizer or processor reads."""
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.suffix in WEIGHTS_AND_SETTINGS and path.is_file():
            digest.update(f"{path.name}\0{path.stat().st_size}\0".encode())
            with path.open("rb") as file:
                while block := file.read(1 << 22):
                    digest.update(block)
    return digest.hexdigest()[:12]
