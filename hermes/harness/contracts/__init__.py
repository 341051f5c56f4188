"""What a benchmark, a model and a judge must offer, and what benchmarks share."""
