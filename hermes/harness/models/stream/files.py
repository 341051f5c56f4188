"""The small files of a checkpoint, which a saved model keeps as they were published."""

import shutil
from pathlib import Path
from typing import Any

KEPT = (
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "preprocessor_config.json",
    "processor_config.json",
)


def keep_files(words: Any, source: Path, folder: Path) -> None:
    """Write the tokenizer into ``folder``, and over it the files with which it lay in ``source``, if it is there."""
    words.save_pretrained(folder)
    if source.resolve() != folder.resolve():
        for name in KEPT:
            if (source / name).is_file():
                shutil.copyfile(source / name, folder / name)
