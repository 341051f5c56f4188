"""Rows that others have printed. They are quoted: never ranked, and marked where they stand beside measured rows."""

from dataclasses import replace

from hermes.leaderboards.tables import Cell, Column, Table, Told, text_column

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
DPG = ("Overall",)
DPG_ROWS: dict[tuple[str, str], Values] = {("Show-o", "1.3B"): (67.48,), ("HermesFlow", "1.3B"): (70.22,)}
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
MARK = "†"
# Of each preset (presets.py): the title, the columns, the rows, and what a reader must know.
QUOTED: dict[str, tuple[str, tuple[str, ...], dict[tuple[str, str], Values], str]] = {
    "paper-gap": ("gap score", GAP, GAP_ROWS, "The paper's judge is GPT-4o."),
    "paper-understanding": (
        "understanding",
        UNDERSTANDING,
        UNDERSTANDING_ROWS,
        "MME: perception. Flickr30k: CIDEr.",
    ),
    "paper-geneval": (
        "GenEval",
        GENEVAL,
        GENEVAL_ROWS,
        "Overall holds a sixth task, attribute binding, that the paper does not print.",
    ),
    "paper-dpg": ("DPG-Bench", DPG, DPG_ROWS, "The categories are not quoted."),
    "paper-ablation": ("ablation", ABLATION, ABLATION_ROWS, ""),
}
DIGITS = {"GenEval": 2, "DPG-Bench": 2, **dict.fromkeys(GENEVAL, 2), **dict.fromkeys(GAP, 3)}


def published_tables(presets: tuple[str, ...] = tuple(QUOTED)) -> list[Table]:
    """The paper's tables of these presets, on real data; every cell names the source."""
    return [_table(preset) for preset in presets]


def with_published(table: Table, preset: str) -> Table:
    """The paper's rows, each with a mark, above the measured rows of a preset's table of real data.

    Columns have the titles of the preset; what the paper has beyond the table's columns gets a column of its own.
    """
    quoted = published_tables((preset,))[0]
    known = {column.title for column in table.columns}
    columns = (*table.columns, *(column for column in quoted.columns if column.title not in known))
    places = {column.title: place for place, column in enumerate(quoted.columns)}
    above = tuple(
        tuple(
            replace(row[0], text=f"{row[0].text} {MARK}")
            if column.title == quoted.columns[0].title
            else row[places[column.title]]
            if column.title in places
            else Cell()
            for column in columns
        )
        for row in quoted.rows
    )

    def about(found: Table) -> Told:
        notes, sources = table.about(found)
        quoting = (f"{MARK} quoted from {SOURCE}, not measured here, so not ranked.", *quoted.notes)
        return (*notes, *(quoting if found.rule else ())), sources

    width = len(columns)
    below = tuple((*row, *([Cell()] * (width - len(row)))) for row in table.rows)
    return replace(
        table,
        columns=columns,
        rows=(*above, *below),
        rule=len(above),
        about=about,
    ).told()


def _table(preset: str) -> Table:
    title, names, rows, note = QUOTED[preset]
    source = f"quoted ({SOURCE})"
    places = {name: 2 if preset == "paper-dpg" else DIGITS.get(name, 1) for name in names}
    columns = tuple(Column(name, places[name], better=None, key=name) for name in names)
    return Table(
        title=f"Quoted, real data: {title}",
        columns=(text_column("Model"), text_column("Params", "params"), *columns),
        rows=tuple(
            (
                Cell(text=model, source=source),
                Cell(text=size),
                *(
                    Cell(value, source=source, digits=column.digits)
                    for value, column in zip(values, columns, strict=True)
                ),
            )
            for (model, size), values in rows.items()
        ),
        caption=f"Quoted from {SOURCE}. Not measured here, so not ranked.",
        notes=(note,) if note else (),
        rule=len(rows),
    )
