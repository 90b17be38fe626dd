"""What an estimate is worth."""
