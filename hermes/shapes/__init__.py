"""The drawn world: scenes, pictures, captions, questions, the exact judge, and the twins of the benchmarks."""
