"""Seeds: every random draw in Hermes comes from one derived here, so order, batches and processes change nothing."""

import hashlib


def derive_seed(*parts: object) -> int:
    """A 63-bit seed from any parts, for instance ``(run seed, sample id, index, purpose)``."""
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=8).digest(), "big") >> 1


def answer_seed(seed: int, evaluator: str, sample_id: str, index: int) -> int:
    """The seed of one answer in a run with this ``seed``."""
    return derive_seed(seed, evaluator, sample_id, index, "draw")
