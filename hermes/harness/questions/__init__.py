"""Questions that follow from captions: by rules, by checkpoints, by endpoints."""
