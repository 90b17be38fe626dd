"""The study: participants, what they agreed to, their visits, blood values and clips."""
