"""WISE's judge prompts, which may not be redistributed: found by their SHA-256 in the official scripts or a text."""

import ast
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

from hermes.harness.system.errors import HermesError

FIELDS = ("Explanation", "Prompt")


def official_prompt(homes: list[Path], digest: str, script: str) -> str:
    """The text with this SHA-256, with ``{Prompt}`` and ``{Explanation}`` for what the script fills in.

    Looked for in the Python and text files of ``homes``. Raises HermesError where it is in none of them.
    """
    for home in homes:
        for path in sorted((*home.glob("*.py"), *home.glob("*.txt"))):
            for text in _texts(path):
                if hashlib.sha256(text.encode()).hexdigest() == digest:
                    return text
    where = " or ".join(map(str, homes)) or "the data"
    raise HermesError(
        f"the judge's prompt (SHA-256 {digest[:16]}...) is not in {where}; give a clone of PKU-YuanGroup/WISE with "
        f"--data, whose {script} holds it, or put it there as a text file with {{Prompt}} and {{Explanation}}"
    )


def filled(prompt: str, values: dict[str, str]) -> str:
    """The prompt with the values in the places of their names."""
    return re.sub(r"\{(Prompt|Explanation)\}", lambda found: values[found[1]], prompt)


def _texts(path: Path) -> Iterator[str]:
    """The texts that may be the prompt: the strings of a script, or a whole text."""
    try:
        text = path.read_text(encoding="utf-8")
        tree = ast.parse(text) if path.suffix == ".py" else None
    except (OSError, ValueError, SyntaxError):
        return
    if tree is None:
        yield from (text, text.removesuffix("\n"))
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(map(_part, node.values))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def _part(node: ast.expr) -> str:
    """What stands in a formatted string: text, or the name of what is filled in."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    said = ast.unparse(node).lower()
    return next((f"{{{field}}}" for field in FIELDS if field.lower() in said), "{}")
