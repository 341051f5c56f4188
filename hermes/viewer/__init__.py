"""Looking at answers and pictures: `hermes view` and `hermes export`. Reads what runs have left, and nothing else."""
