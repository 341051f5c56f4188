"""The files of benchmarks as their authors publish them, brought to the columns of the data sets."""
