"""Who may do what: keys, sessions, rate limits, headers, and when the service may start."""
