"""Database engines: Django's own, where something is to be added."""
