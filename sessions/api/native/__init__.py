"""Koda's own contract, `/api/v1/`: all of its Persistence and the turn protocol (API.md section 2)."""
