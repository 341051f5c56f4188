"""What is passed on and stored: records, images, seeds, statistics and the journals that keep them."""
