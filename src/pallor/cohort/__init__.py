"""Participants, clips, and the feature table."""
