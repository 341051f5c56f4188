"""MAGVITv2, the image tokeniser that Show-o and MMaDA share: pictures to pixels to codes, and back."""
