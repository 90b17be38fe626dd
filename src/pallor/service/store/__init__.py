"""The database: jobs, keys, the audit log, and the records of a study."""
