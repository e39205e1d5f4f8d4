"""SQLite as Django speaks to it, without working the same statement over each time."""
