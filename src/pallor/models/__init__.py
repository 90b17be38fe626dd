"""From a feature table to a model, and from a model and a clip to an estimate."""
