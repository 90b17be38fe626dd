"""Clips with known hemoglobin, rendered. Everything made here is stamped SIMULATED."""
