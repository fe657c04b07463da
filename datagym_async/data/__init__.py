"""The async data loader: a dataset and its labels as a stream of samples."""
