"""Show-o and HermesFlow as plain torch modules that load the published checkpoints."""
