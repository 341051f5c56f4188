"""Scores of pictures by libraries' models: with the prompt, without it, or against real pictures."""
