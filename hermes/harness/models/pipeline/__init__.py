"""Text-to-image pipelines of diffusers as models that generate."""
