"""The Markdown of a run, from its JSON."""

from typing import Any


def markdown(told: dict[str, Any]) -> str:
    """A line about the machine, then a table with every check and figure."""
    machine = told["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items() if version)
    sizes = (
        "tiny models, which tell nothing but that the script works" if told["tiny"] else "random weights, real sizes"
    )
    lines = [
        f"{machine['card']}, {versions}; {sizes}; {told['seconds']:.0f} s of {60 * told['minutes']:.0f}, "
        f"begun {told['begun']}.",
        "",
        "| check | figure | value | note |",
        "|---|---|---|---|",
    ]
    for check in told["checks"]:
        ended = check["state"] + (f": {check['why']}" if check["why"] else "")
        lines.append(_row(f"**{check['name']}**", ended, f"{check['seconds']:.1f} s", ""))
        lines += [_row("", one["name"], _value(one), _note(one)) for one in check["figures"]]
    return "\n".join(lines) + "\n"


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _value(figure: dict[str, Any]) -> str:
    value, unit = figure["value"], figure["unit"]
    if value is None:
        return "-"
    return f"{value:.4g} {unit}".strip() if isinstance(value, float | int) else f"{value} {unit}".strip()


def _note(figure: dict[str, Any]) -> str:
    verdict = {True: "met", False: "**not met**", None: ""}[figure["ok"]]
    return ": ".join(part for part in (figure["note"], verdict) if part)
