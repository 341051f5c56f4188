"""What every room stands on: errors, settings, processes, progress, files on disk, names of plugins."""
