"""Estimate hemoglobin from a facial video, and prove what the estimate is worth."""
