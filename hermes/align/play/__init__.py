"""How self-play goes: rounds, history, ablations."""
