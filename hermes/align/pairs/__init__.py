"""What is drawn and what is preferred."""
