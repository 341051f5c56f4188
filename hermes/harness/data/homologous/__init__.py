"""Homologous items from the files of others."""
