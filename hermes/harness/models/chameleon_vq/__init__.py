"""Chameleon's VQGAN, which Liquid and Anole read and draw pictures with: one codec for all published layouts."""
