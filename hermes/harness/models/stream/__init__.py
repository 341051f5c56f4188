"""What models share that read and write text and image codes as one stream of tokens of one vocabulary."""
