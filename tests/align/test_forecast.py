"""What a dry run of a self-play says is still to do, and which earlier self-play it finds."""

import json
from pathlib import Path
from typing import Any

import pytest
from align_fake import FakeModel

import hermes
from hermes.align.play.forecast import PlayForecast, forecast
from hermes.align.settings import AlignSettings

SETTINGS: dict[str, Any] = {
    **{"rounds": 1, "items": 6, "n": 3, "similarity": "facts", "critic": "oracle", "threshold": 0.2, "steps": 1},
    **{"batch_size": 2, "replay": 0, "eval_limit": 2, "device": "cpu"},
}

pytestmark = pytest.mark.usefixtures("fake_model")


def coming(model: Path, runs: Path, **changes: Any) -> PlayForecast:
    return forecast(AlignSettings.model_validate({**SETTINGS, "model": str(model), "runs": runs, **changes}))


def test_the_self_play_of_a_model_that_was_in_memory_is_found_where_it_was_loaded_alike(tmp_path: Path) -> None:
    played = hermes.align(FakeModel(), runs=tmp_path, progress=False, **SETTINGS)
    (saved,) = (tmp_path / "models").iterdir()
    found = coming(saved, tmp_path)
    assert (found.folder, [one.missing for one in found.rounds]) == (played.folder, [(), ()])
    assert coming(saved, tmp_path, dtype="auto").folder is None
    (path,) = tmp_path.glob("*/align-*/round-0/evaluation/environment.jsonl")
    start = json.loads(path.read_text().splitlines()[0])
    del start["handed_in"]
    start["settings"]["dtype"] = "auto"
    path.write_text(json.dumps(start) + "\n")  # as an older version left it
    assert coming(saved, tmp_path).folder == played.folder
