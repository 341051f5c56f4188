"""BAGEL: two experts in each layer, one for words and seen pictures, one for drawn ones."""
