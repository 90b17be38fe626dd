"""Migrations, run by `pallor.service.store.upgrade`."""
