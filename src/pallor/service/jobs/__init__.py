"""From a queued job to its result: the supervisor, its workers, and what one of them does."""
