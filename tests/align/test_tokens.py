"""Pairs whose winner and loser are the same to the model, however they differ on the disk."""

from pathlib import Path

import torch
from align_fake import FakeModel
from PIL import Image

from hermes.align.pairs.preferences import Candidate, Duel, Preference, Side
from hermes.align.pairs.tokens import token_ties
from hermes.harness.models.tiny.adapter import TinyModel
from hermes.harness.records.store import Store


def preference(media: Store, item: str, texts: tuple[str, str] | None, shades: tuple[int, int] | None) -> Preference:
    def duel(side: Side, contents: tuple[str, ...], field: str) -> Duel:
        ends = [
            Candidate.model_validate(
                {"item_id": item, "side": side, "round": 1, "index": k, "seed": 0, "score": 1 - k, field: content}
            )
            for k, content in enumerate(contents)
        ]
        return Duel(winner=ends[0], loser=ends[1])

    def picture(shade: int) -> str:
        return media.keep_images([Image.new("RGB", (48, 48), (shade, shade, shade))])[0]

    return Preference(
        item_id=item,
        round=1,
        image=picture(9),
        caption="a small red circle in the center",
        prompt="Describe it.",
        und=duel("und", texts, "text") if texts else None,
        gen=duel("gen", tuple(map(picture, shades)), "image") if shades else None,
    )


def made(folder: Path) -> list[Preference]:
    media = Store(folder)
    return [
        preference(media, "same image", None, (200, 201)),
        preference(media, "other image", ("a red circle", "a blue circle"), (10, 200)),
        preference(media, "same text", ("a red circle", "a  red circle"), (10, 200)),
        preference(media, "longer text", ("a red circle", "a red circle on the left"), None),
        preference(media, "both", ("a red circle ", "a red circle"), (100, 100)),
    ]


def test_a_side_with_equal_tokens_is_found(tmp_path: Path) -> None:
    found = token_ties(FakeModel(), made(tmp_path), tmp_path / "media")
    assert found == {"same image": ["gen"], "same text": ["und"], "both": ["und", "gen"]}


def test_so_it_is_for_a_model_with_codes_of_its_own(tmp_path: Path) -> None:
    torch.manual_seed(0)
    found = token_ties(TinyModel.load("hermes-tiny", "cpu"), made(tmp_path), tmp_path / "media")
    assert found["both"] == ["und", "gen"]
    assert found["same text"] == ["und"]
    assert "other image" not in found
    assert "longer text" not in found
