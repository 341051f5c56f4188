"""Prompts as Janus reads them: the checkpoint's chat template and processor around a question or an image prompt."""

from collections.abc import Sequence
from typing import Any

from PIL import Image


def question(processor: Any, prompt: str, images: int) -> str:
    """The chat text that asks ``prompt`` about ``images`` pictures, which stand before it."""
    return str(processor.apply_chat_template(_asked(prompt, images), add_generation_prompt=True))


def answer(processor: Any, prompt: str, images: int, text: str) -> str:
    """What the chat template writes behind ``question`` where the assistant says ``text``; without the end token."""
    said = [*_asked(prompt, images), {"role": "assistant", "content": [{"type": "text", "text": text}]}]
    whole = str(processor.apply_chat_template(said))
    before = question(processor, prompt, images)
    return whole[len(before) :].removesuffix(processor.tokenizer.eos_token) if whole.startswith(before) else text


def understanding_inputs(processor: Any, texts: Sequence[str], images: Sequence[Image.Image]) -> Any:
    """Token ids (B, L), padded on the left, their mask, and pixels (N, 3, S, S) of all images in order."""
    return processor(
        text=list(texts), images=list(images) or None, padding=True, generation_mode="text", return_tensors="pt"
    )


def generation_inputs(processor: Any, prompts: Sequence[str], seen: Sequence[Image.Image] = ()) -> Any:
    """Token ids (B, L), padded on the left and ending with the begin-of-image token, and their mask.

    Where pictures are ``seen``, one for each prompt, places for its features stand before it.
    """
    texts = [question(processor, prompt, int(bool(seen))) for prompt in prompts]
    return processor(text=texts, images=list(seen) or None, padding=True, generation_mode="image", return_tensors="pt")


def _asked(prompt: str, images: int) -> list[dict[str, Any]]:
    content: list[dict[str, Any]] = [{"type": "image"} for _ in range(images)]
    return [{"role": "user", "content": [*content, {"type": "text", "text": prompt}]}]
