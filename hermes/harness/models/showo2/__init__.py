"""Show-o2 in its authors' layout: texts by tokens, pictures by a flow over the latents of Wan2.1."""
