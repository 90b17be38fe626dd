"""A study as it leaves the service: a folder, or a zip, that ``pallor extract`` reads."""
