"""Anole, which is Chameleon with a trained image head: it understands, draws and can be aligned."""
