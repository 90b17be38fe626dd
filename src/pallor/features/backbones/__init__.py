"""Pre-trained image networks: from a verified checkpoint to embeddings of face crops."""
