"""What a class must have to serve as an evaluator, a model or a judge; checked when the class is loaded."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Strict, ValidationError

Kind = Literal["evaluators", "models", "judges"]
Number = Annotated[float, Strict()]
CAN = ("answer", "detect", "weigh", "write", "score", "liken")
RATINGS = ("clipscore", "pickscore", "hpsv2", "aesthetic")
"""The scores of pictures that a judge may give: each is an ability of its own."""
METHODS = {
    "understanding": "understand",
    "generation": "generate",
    "editing": "generate",
    "compare": "features",
    **{ability: ability for ability in CAN},
    **dict.fromkeys(RATINGS, "rate"),
}


class _Attributes(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class _Data(_Attributes):
    n: int
    columns: tuple[str, ...]


class _Config(_Attributes):
    num_images: int


class _Evaluator(_Attributes):
    name: str
    version: str
    title: str
    ability: Literal["understanding", "generation"]
    data: _Data
    config: _Config
    headline: str
    unit: str
    chance: Number
    best: Number
    protocols: tuple[str, ...]
    standard: bool


class _Model(_Attributes):
    abilities: tuple[Literal["understanding", "generation", "editing"], ...]
    parameters: str
    description: str
    alignable: bool


class _Judge(_Attributes):
    abilities: tuple[
        Literal[
            "answer",
            "detect",
            "weigh",
            "write",
            "score",
            "compare",
            "liken",
            "clipscore",
            "pickscore",
            "hpsv2",
            "aesthetic",
        ],
        ...,
    ]
    description: str


_OF_KIND: dict[Kind, type[_Attributes]] = {"evaluators": _Evaluator, "models": _Model, "judges": _Judge}


def complaint(kind: Kind, cls: Any) -> str | None:
    """What is wrong with the class, as in "lacks headline, unit"; None where it can be used."""
    if not isinstance(cls, type):
        return f"is a {type(cls).__name__}, not a class"
    wanted = _OF_KIND[kind]
    try:
        wanted.model_validate({name: getattr(cls, name) for name in wanted.model_fields if hasattr(cls, name)})
        errors = []
    except ValidationError as error:
        errors = error.errors()
    missing = [_key(error) for error in errors if error["type"] == "missing"]
    abstract = getattr(cls, "__abstractmethods__", ())
    missing += [method for method in _methods(kind, cls) if method in abstract or not hasattr(cls, method)]
    missing += sorted(set(abstract) - set(missing))
    if missing:
        return f"lacks {', '.join(missing)}"
    if errors:
        return f"has {_key(errors[0])} = {errors[0]['input']!r} ({errors[0]['msg']})"
    if kind == "models" and not cls.abilities:  # type: ignore[attr-defined]
        return "lacks understand or generate"
    return None


def _key(error: Any) -> str:
    return ".".join(map(str, error["loc"]))


def _methods(kind: Kind, cls: Any) -> list[str]:
    """The methods that a class of this kind and with these abilities must have."""
    if kind == "evaluators":
        return ["make", "samples", "score", "scores", "aggregate"]
    able = getattr(cls, "abilities", ())
    made = [] if getattr(cls, "needs_model", False) else ["load"]
    return made + [METHODS[ability] for ability in able if ability in METHODS]
