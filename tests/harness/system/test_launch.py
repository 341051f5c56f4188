"""What a launcher and a command ask for together: a model spread over all GPUs has no room for a second one."""

import pytest

from hermes.harness.contracts.options import LoadOptions
from hermes.harness.run.loading import check_model
from hermes.harness.system.errors import HermesError
from hermes.harness.system.launch import refuse_spread


class Spread:
    """A model that may be spread."""

    options = ("device_map",)
    uses_torch = False


@pytest.mark.parametrize("name", ["auto", "balanced"])
def test_a_device_map_is_for_one_process(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "4")
    with pytest.raises(
        HermesError, match=f"--device-map {name} spreads .* each of 4 processes .* leave it out"
    ) as said:
        check_model(Spread, "spread", "cpu", LoadOptions(device_map=name))
    assert "\n" not in str(said.value)
    check_model(Spread, "spread", "cpu", LoadOptions())
    refuse_spread(name, {})
    refuse_spread(name, {"WORLD_SIZE": "1"})
