"""The composition roots: the only modules that know every part. One for each way to run tidegate."""
