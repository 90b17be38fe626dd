"""The service behind ``pallor serve``: uploads, jobs, results, and the collection of a study."""
