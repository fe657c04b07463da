"""Whatever names images, taken apart into candidates."""
