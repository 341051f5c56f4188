"""The records. What Hermes writes to disk is exactly these; nothing here needs torch."""

from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
)

from hermes.harness.records.images import ImageHandle

Split = Literal["train", "validation", "test"]
Ability = Literal["understanding", "generation"]
Order = Literal["confidence", "random", "halton"]
SCHEMA_VERSION = 2
DECODING = ("order", "choice_temperature", "plan", "plan_temperature", "top_p", "text_steps", "block_length")


class ByName:
    """What a record holds is found by its name in brackets, too, as in the JSON that it is written as."""

    def __getitem__(self, name: str) -> Any:
        if name not in type(self).model_fields:  # type: ignore[attr-defined]
            raise KeyError(name)
        return getattr(self, name)


class Record(ByName, BaseModel):
    """A frozen record that refuses fields it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)


class GenerationConfig(Record):
    """How a response is drawn. None means: what the model's adapter has as its default.

    Of models that draw an image's tokens in parallel ``order`` says which are kept first: those of the highest
    "confidence" (MaskGIT, Chang et al. 2022), "random" ones, or those of a "halton" sequence (Besnier et al. 2025);
    ``choice_temperature`` is the scale of the noise on that order, as MaskGIT's code calls it. ``plan`` "on" lets a
    model write the picture in words before it draws, at ``plan_temperature``. ``top_p`` keeps the likeliest tokens that
    together have that probability (Holtzman et al. 2020). Models that write a text by unmasking it take ``text_steps``
    over all of it, block after block of ``block_length`` tokens (LLaDA, Nie et al. 2025). These, DECODING, are known to
    some models alone; where none is given they are not written, so settings are identified as before there were any.
    """

    max_new_tokens: int | None = None
    temperature: float | None = None
    top_k: int | None = None
    num_images: int = Field(1, ge=1)
    guidance_scale: float | None = None
    steps: int | None = None
    image_size: int | None = None
    order: Order | None = None
    choice_temperature: float | None = Field(None, ge=0)
    plan: Literal["on", "off"] | None = None
    plan_temperature: float | None = Field(None, ge=0)
    top_p: float | None = Field(None, gt=0, le=1)
    text_steps: int | None = Field(None, ge=1)
    block_length: int | None = Field(None, ge=1)
    seed: int = 0

    @model_serializer(mode="wrap")
    def _as_before(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        written: dict[str, Any] = handler(self)
        return {name: value for name, value in written.items() if name not in DECODING or value is not None}


REWRITTEN = "rewritten"
"""The place in a sample's metadata of the prompt that is shown to the model in place of its own."""


class Sample(Record):
    """One question or one prompt, ready to be asked. ``prompt`` is final: an adapter adds only its chat template."""

    id: str
    group_id: str
    ability: Ability
    prompt: str
    images: tuple[ImageHandle, ...] = ()
    target: Any = None
    choices: tuple[str, ...] = ()
    metadata: dict[str, Any] = Field(default_factory=dict)

    @property
    def shown(self) -> str:
        """What the model is asked: the prompt, or what --rewrite made of it; judges always see the prompt."""
        return str(self.metadata.get(REWRITTEN, self.prompt))

    def rewritten(self, text: str) -> "Sample":
        """The sample with another prompt for the model alone."""
        return self.model_copy(update={"metadata": {**self.metadata, REWRITTEN: text}})


class Request(Record):
    """What a model is asked: one sample, one index (the k-th image of a prompt), one seed.

    ``key`` stands for all that can change the answer of a given model, the sample's id included: stored answers are
    found by it.
    """

    key: str = ""
    sample_id: str
    index: int
    prompt: str
    images: tuple[ImageHandle, ...] = ()
    config: GenerationConfig
    seed: int


class Response(Record):
    """What a model answered: ``text``, or ``image`` (sha256 of the stored PNG's bytes).

    ``key`` is the request's. ``content`` is the key that the same request has where its images are named by their
    content, given where the key names them by their place in a data set. ``truncated``: the text, or an
    image's plan, ends at the limit of new tokens; ``prompt_cut``: the model did not read the prompt to its end. Both as
    far as the model's adapter tells.
    ``plan`` is what the model wrote before it drew the image: "" where it found no plan needed, None where it does not
    plan.
    """

    key: str = ""
    content: str = ""
    sample_id: str
    index: int
    seed: int
    prompt_sha256: str
    text: str | None = None
    image: str | None = None
    status: Literal["ok", "error"] = "ok"
    error: str | None = None
    seconds: float = 0.0
    truncated: bool = False
    prompt_cut: bool = False
    plan: str | None = None


class Judgement(Record):
    """What a detector or a judge said about one generated image, stored so that scoring needs neither again.

    ``error`` says why there is no ``data``; the image is then asked about again when the run goes on. ``key`` stands
    for the image and for all that the judge could be asked about it.
    """

    key: str = ""
    sample_id: str
    index: int
    judge: str
    data: dict[str, Any] = Field(default_factory=dict)
    error: str | None = None


class Score(Record):
    """One response, read and scored. ``values`` hold what the protocol counts; an ``error`` has none.

    ``unparsed`` responses keep the values that their protocol gives them (mostly 0) and are counted apart.
    """

    sample_id: str
    index: int
    group_id: str
    values: dict[str, float] = Field(default_factory=dict)
    prediction: Any = None
    reason: str = ""
    status: Literal["scored", "unparsed", "error"] = "scored"
    tags: dict[str, str] = Field(default_factory=dict)


class Metric(Record):
    """A number with its 95 % interval (None where none can be given) over ``n`` values in ``groups`` clusters."""

    value: float
    low: float | None = None
    high: float | None = None
    n: int = 0
    groups: int = 0

    @field_validator("value", mode="before")
    @classmethod
    def _null_is_nan(cls, value: Any) -> Any:
        """JSON has no NaN: a value that could not be computed is null there."""
        return float("nan") if value is None else value


class DataInfo(Record):
    """Where the rows of a run came from.

    ``fingerprint`` is a hash of all that can change an answer or a score, ``rows`` of what answers are scored against:
    of all but prompts and images ("" in older runs). Answers from files have the latter for both.
    """

    source: str
    revision: str | None = None
    fingerprint: str
    rows: str = ""
    n: int
    n_expected: int
    world: Literal["shapes", "real"]

    @property
    def pinned(self) -> bool:
        """Whether images are known by their place in one commit of a hub data set."""
        return self.source.startswith("hub:")


class Result(Record):
    """The scores of one evaluator in one run.

    ``counts`` holds how many answers were "scored", "unparsed" and "error", and, where there are any, how many were
    "truncated" or had their "prompt_cut", how many were "reasoned", and of how many the reasoning was "stripped".
    ``failures`` are the commonest reasons of errors, each as it was first met, with how many are alike; ``notes`` say
    what all answers have in common that answers should not. ``lower``: a headline nearer to 0 is better.
    """

    evaluator: str
    version: str
    ability: Ability
    protocol: str
    judge: str | None
    data: DataInfo
    headline: str
    unit: str
    chance: float
    best: float
    metrics: dict[str, Metric]
    n: int
    n_expected: int
    partial: bool
    counts: dict[str, int]
    failures: dict[str, int] = {}
    notes: tuple[str, ...] = ()
    lower: bool = False


class ModelInfo(Record):
    """Which model answered. ``fingerprint`` is a hash of the weights, ``dtype`` the precision that they compute in.

    ``noise``: the kind of device that makes what is random in answers, "" for the CPU, which does for most models.
    """

    name: str
    revision: str | None = None
    fingerprint: str
    abilities: tuple[Ability, ...]
    parameters: int = 0
    resolution: int = 0
    dtype: str = "float32"
    noise: str = ""
    defaults: GenerationConfig = GenerationConfig()
