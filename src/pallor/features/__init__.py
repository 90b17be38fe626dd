"""From a recording to named features."""
