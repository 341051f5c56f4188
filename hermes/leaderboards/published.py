"""Rows that others have printed. They are quoted: never ranked, never in one table with measured rows."""

from hermes.leaderboards.tables import Cell, Column, Table, text_column

SOURCE = "HermesFlow, NeurIPS 2025, arXiv:2502.12148"
Values = tuple[float | None, ...]

UNDERSTANDING = ("POPE", "MME", "Flickr30k", "VQAv2", "GQA", "MMMU")
UNDERSTANDING_ROWS: dict[tuple[str, str], Values] = {
    ("SEED-X", "17B"): (84.2, 1435.7, 52.3, None, 47.9, 35.6),
    ("Chameleon", "34B"): (None, None, 74.7, 66.0, None, None),
    ("Show-o", "1.3B"): (80.0, 1232.9, 67.6, 74.7, 61.0, 27.4),
    ("HermesFlow", "1.3B"): (81.4, 1249.7, 69.2, 75.3, 61.7, 28.3),
}
GENEVAL = ("Single", "Two", "Counting", "Colors", "Position", "Overall")
GENEVAL_ROWS: dict[tuple[str, str], Values] = {
    ("SD 2.1", "865M"): (0.97, 0.50, 0.46, 0.80, 0.07, 0.49),
    ("Show-o", "1.3B"): (0.95, 0.52, 0.49, 0.82, 0.11, 0.53),
    ("Janus", "1.3B"): (0.97, 0.68, 0.30, 0.84, 0.46, 0.61),
    ("HermesFlow", "1.3B"): (0.98, 0.84, 0.66, 0.82, 0.32, 0.69),
}
GAP = ("U", "G", "Gap (U - G)")
GAP_ROWS: dict[tuple[str, str], Values] = {
    ("VILA-U", "7B"): (0.646, 0.477, 0.169),
    ("Janus", "1.3B"): (0.599, 0.417, 0.182),
    ("Show-o", "1.3B"): (0.520, 0.433, 0.087),
    ("HermesFlow", "1.3B"): (0.533, 0.497, 0.036),
}
ABLATION = ("POPE", "MME", "MMMU", "GenEval", "DPG-Bench")
ABLATION_ROWS: dict[tuple[str, str], Values] = {
    ("Show-o", "1.3B"): (80.0, 1232.9, 27.4, 0.53, 67.48),
    ("DPO, understanding only", "1.3B"): (80.8, 1242.2, 27.8, 0.58, 67.88),
    ("DPO, generation only", "1.3B"): (80.5, 1239.3, 27.5, 0.70, 70.03),
    ("Pair-DPO, round 1", "1.3B"): (81.1, 1246.7, 28.0, 0.68, 70.19),
    ("Pair-DPO, round 3", "1.3B"): (81.4, 1249.7, 28.3, 0.69, 70.22),
}
DIGITS = {"GenEval": 2, "DPG-Bench": 2, **dict.fromkeys(GENEVAL, 2), **dict.fromkeys(GAP, 3)}


def published_tables() -> list[Table]:
    """The paper's tables, on real data; every cell names the source."""
    return [
        _table("gap score", GAP, GAP_ROWS, "The paper's judge is GPT-4o."),
        _table("understanding", UNDERSTANDING, UNDERSTANDING_ROWS, "MME: perception. Flickr30k: CIDEr."),
        _table("GenEval", GENEVAL, GENEVAL_ROWS, "Overall holds a sixth task, attribute binding, that is not printed."),
        _table("ablation", ABLATION, ABLATION_ROWS, ""),
    ]


def _table(title: str, names: tuple[str, ...], rows: dict[tuple[str, str], Values], note: str) -> Table:
    source = f"quoted ({SOURCE})"
    columns = tuple(Column(name, DIGITS.get(name, 1), better=None) for name in names)
    return Table(
        title=f"Quoted, real data: {title}",
        columns=(text_column("Model"), text_column("Params"), text_column("Source"), *columns),
        rows=tuple(
            (Cell(text=model), Cell(text=size), Cell(text="quoted"), *(Cell(value, source=source) for value in values))
            for (model, size), values in rows.items()
        ),
        caption=f"Source: {SOURCE}. Not measured here, so not ranked. {note}".strip(),
    )
