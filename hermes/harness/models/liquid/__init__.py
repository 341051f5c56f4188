"""Liquid: Gemma whose vocabulary holds the codes of Chameleon's VQGAN; it understands, draws and can be aligned."""
