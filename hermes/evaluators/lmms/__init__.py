"""The bridge to lmms-eval, in both directions."""
