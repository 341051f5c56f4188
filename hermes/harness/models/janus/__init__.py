"""Janus and Janus-Pro checkpoints in transformers' layout: a model that understands, generates and can be aligned."""
