"""Readers of foreign stores."""
