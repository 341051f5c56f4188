"""Where samples come from: the hub, folders, files and official layouts."""
