"""How alike texts and pictures are: cosines of published encoders, or, in the drawn world, the facts that both show.

``similarity`` has the telephone game's encoders: all-mpnet-base-v2 for two texts, CLIP ViT-B/32 for a text and a
picture, DINO ViT-B/16 ([CLS]) for two pictures. ``similarity:text=NAME,clip=NAME,image=NAME+NAME`` takes others: for
texts one of judges/similarity.py, for the others hub ids or folders of transformers; CLIP's own picture features where
an image encoder is one, [CLS] otherwise. ``similarity:facts`` needs no weights: a picture is read into its full
caption, and captions are compared by their facts (similarity.facts_f1).
"""

from collections.abc import Callable, Collection, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from hermes.harness.contracts.judge import Detections
from hermes.harness.judges.similarity import facts_f1, resolve, similarity
from hermes.harness.system import hub
from hermes.harness.system.errors import HermesError

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

VERSION, BATCH = "1", 32
PARTS = {"text": "mpnet", "clip": "openai/clip-vit-base-patch32", "image": "facebook/dino-vitb16"}
FACTS = "facts"
Pair = tuple[Any, Any]


class SimilarityJudge:
    """Likens pairs; answers nothing."""

    description: ClassVar[str] = (
        "how alike texts and pictures are: similarity, similarity:image=HUB_ID, similarity:facts"
    )
    extra: ClassVar[str | None] = None
    abilities: ClassVar[tuple[str, ...]] = ("liken",)
    needs_model: ClassVar[bool] = False

    def __init__(self, parts: dict[str, str], device: str = "cpu") -> None:
        self._parts, self._device = parts, device
        told = [name if name == PARTS.get(part) else f"{part}={name}" for part, name in parts.items()]
        self.identity = f"similarity-{','.join(told)}-{VERSION}"

    @classmethod
    def check(cls, argument: str | None) -> None:
        """Raise HermesError for what names no encoders; weights are looked for when they are needed."""
        if (parts := _parts(argument)).get("text"):
            resolve(parts["text"])

    @classmethod
    def load(cls, argument: str | None, device: str) -> "SimilarityJudge":
        """Nothing is loaded before a pair of its kind comes."""
        return cls(_parts(argument), device)

    def liken(self, pairs: Sequence[Pair]) -> list[dict[str, float]]:
        """Cosines by encoder; "facts" alone for `FACTS`."""
        if FACTS in self._parts:
            return [{FACTS: facts_f1(_read(a), _read(b))} for a, b in pairs]
        kinds = {"text": _texts, "clip": _mixed, "image": _pictures}
        found: list[dict[str, float]] = [{} for _ in pairs]
        for part, fits in kinds.items():
            places = [place for place, pair in enumerate(pairs) if fits(pair)]
            for name in self._parts[part].split("+") if places else ():
                alike = _alike(part, name, self._device)([pairs[place] for place in places])
                for place, value in zip(places, alike, strict=True):
                    found[place][name] = value
        return found

    def answer(self, images: "Sequence[Image.Image]", questions: Sequence[str]) -> list[str]:
        raise HermesError("the judge 'similarity' answers no questions; use another --judge")

    def detect(self, images: "Sequence[Image.Image]", colored: Sequence[Collection[str]]) -> list[Detections]:
        raise HermesError("the judge 'similarity' cannot detect objects; use another --judge")


def _parts(argument: str | None) -> dict[str, str]:
    """The encoder of each kind of pair."""
    if argument == FACTS:
        return {FACTS: FACTS}
    given = [part.partition("=") for part in argument.split(",")] if argument else []
    if strange := [part for part, _, name in given if part not in PARTS or not name]:
        raise HermesError(
            f"judge similarity: {strange[0]!r} is none of text=, clip= and image=; give similarity:image=HUB_ID or "
            "similarity:facts"
        )
    return PARTS | {part: name for part, _, name in given}


def _texts(pair: Pair) -> bool:
    return all(isinstance(one, str) for one in pair)


def _pictures(pair: Pair) -> bool:
    return not any(isinstance(one, str) for one in pair)


def _mixed(pair: Pair) -> bool:
    return not _texts(pair) and not _pictures(pair)


def _read(one: "str | Image.Image") -> str:
    """A text, or what a picture of the drawn world shows."""
    if isinstance(one, str):
        return one
    from hermes.shapes.captions import complete
    from hermes.shapes.parse import parse_many
    from hermes.shapes.words import in_reading_order

    objects = parse_many([one])[0].objects
    return complete(in_reading_order(objects)) if objects else ""


def _alike(part: str, name: str, device: str) -> Callable[[Sequence[Pair]], list[float]]:
    if part == "text":
        found = similarity(name, device)
        return lambda pairs: found([a for a, _ in pairs], [b for _, b in pairs])
    return lambda pairs: _cosines(pairs, *_load(name, device), device)


def _cosines(pairs: Sequence[Pair], model: Any, processor: Any, device: str) -> list[float]:
    """Every distinct text or picture is encoded once; pictures are told apart by their objects."""
    sides = [one for pair in pairs for one in pair]
    distinct = list({one if isinstance(one, str) else id(one): one for one in sides}.values())
    kinds = [[one for one in distinct if isinstance(one, str) is text] for text in (True, False)]
    vectors: dict[Any, Tensor] = {}
    for each in kinds:
        for begin in range(0, len(each), BATCH):
            batch = each[begin : begin + BATCH]
            for one, vector in zip(batch, _encoded(batch, model, processor, device), strict=True):
                vectors[one if isinstance(one, str) else id(one)] = vector
    rows = [[vectors[one if isinstance(one, str) else id(one)] for one in pair] for pair in pairs]
    return [float((a * b).sum()) for a, b in rows]


def _encoded(batch: Sequence[Any], model: Any, processor: Any, device: str) -> "Tensor":
    """Unit vectors (n, width) on the CPU, of texts or of pictures."""
    import torch

    with torch.inference_mode():
        if isinstance(batch[0], str):
            inputs = processor(text=list(batch), padding=True, truncation=True, return_tensors="pt").to(device)
            found = model.get_text_features(**inputs)
        else:
            inputs = processor(images=list(batch), return_tensors="pt").to(device)
            clip = hasattr(model, "get_image_features")
            found = model.get_image_features(**inputs) if clip else model(**inputs).last_hidden_state[:, 0]
        found = getattr(found, "pooler_output", found)
        return torch.nn.functional.normalize(found.float(), dim=-1).cpu()


@cache
def _load(name: str, device: str) -> tuple[Any, Any]:
    """The model with its preparation. Raises HermesError where it cannot be had."""
    from transformers import AutoImageProcessor, AutoModel, AutoProcessor

    if not Path(name).is_dir():
        hub.unreachable()
    try:
        model = AutoModel.from_pretrained(name, trust_remote_code=False)
        kind = AutoProcessor if hasattr(model, "get_text_features") else AutoImageProcessor
        processor = kind.from_pretrained(name, trust_remote_code=False)  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise HermesError(
            f"judge similarity: encoder {name!r} cannot be loaded ({reason}); give a folder, or choose another one"
        ) from None
    return model.to(device).eval(), processor
