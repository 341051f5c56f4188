"""Answers that were made anywhere: matched to the rows, judged where needed, and scored without a model."""
