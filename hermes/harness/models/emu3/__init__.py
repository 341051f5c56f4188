"""Emu3 checkpoints in transformers' layout, one or two as one model: understands, generates and can be aligned."""
