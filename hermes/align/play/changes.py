"""A self-play's folder under other settings: it goes on where nothing in it was made under those that changed."""

import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from hermes.align.settings import CandidateSettings, PreferenceSettings, TrainSettings
from hermes.harness.run.fresh import SPEC, known
from hermes.harness.run.plan import differences, run_id
from hermes.harness.system.disk import read_json, write_json
from hermes.harness.system.errors import HermesError

TRAINING = set(TrainSettings.model_fields) - {"objective", "side_loss", "seed"}
"""Settings that nothing before a round's training looks at."""
ROUND = {*CandidateSettings.model_fields, *PreferenceSettings.model_fields, "objective", "side_loss", *TRAINING}
"""Settings that the base model's evaluation, round 0, does not look at."""
BESIDE = {"critic", "pairs"}
"""What of a spec beside the settings belongs to rounds alone."""


def adopt(folder: Path, spec: Mapping[str, Any]) -> None:
    """Give the folder this spec where all that it holds was made as the spec says. The caller holds its lock.

    Settings of training may change until a round was trained, those of a round until there is one. Raises HermesError
    that names the rounds to remove where they stand in the way.
    """
    old = known(folder)
    if old is None or not old:
        _mend(folder, spec)
        return
    changed = _changed(old, spec)
    if not changed or not changed <= ROUND | BESIDE:
        return
    late = changed <= TRAINING
    rounds = sorted((home for home in folder.glob("round-*") if home.name != "round-0"), key=_number)
    made = [home for home in rounds if not late or (home / "checkpoint").exists()]
    if made:
        first = next(differences(dict(old), dict(spec)))
        rest = f" to {rounds[-1].name}" if rounds[-1] != made[0] else ""
        raise HermesError(
            f"{made[0]} was made with other settings ({first}); give another --out, or remove {made[0].name}{rest} "
            f"from {folder} to go on from what comes before"
        )
    for home in rounds:
        shutil.rmtree(home / "training", ignore_errors=True)
    write_json(folder / SPEC, spec)


def _mend(folder: Path, spec: Mapping[str, Any]) -> None:
    """Write a damaged spec again where history.json shows that it was this one."""
    if (folder / SPEC).is_file():
        with suppress(HermesError):
            if read_json(folder / "history.json").get("align_id") == run_id(dict(spec)):
                write_json(folder / SPEC, spec)


def _changed(old: Mapping[str, Any], new: Mapping[str, Any]) -> set[str]:
    """The keys of both specs, and of their settings, that differ."""
    found = {key for key in {*old, *new} - {"settings"} if old.get(key) != new.get(key)}
    before, now = old.get("settings") or {}, new["settings"]
    return found | {key for key in {*before, *now} if before.get(key) != now.get(key)}


def _number(home: Path) -> int:
    return int(home.name.removeprefix("round-"))
