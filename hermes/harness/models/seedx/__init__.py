"""SEED-X: Qwen-VL's vision encoder, LLaMA-2 and SDXL's denoiser; our own implementation of what joins them."""
