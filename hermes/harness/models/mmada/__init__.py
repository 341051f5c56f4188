"""MMaDA: one Llama without causal mask that writes and draws by unmasking; from its published checkpoints."""
