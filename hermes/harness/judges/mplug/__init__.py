"""mPLUG-large VQA, the judge of DPG-Bench, as plain torch modules that load the published checkpoint."""
