"""Answers that were made anywhere: read, matched to the rows, judged where needed, and scored without a model."""
