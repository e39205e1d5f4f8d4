"""What may be purged, and purging it."""
