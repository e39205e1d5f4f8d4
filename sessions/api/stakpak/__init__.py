"""Stakpak's contract, at `/v1/`: what the real agent's storage speaks (contracts/stakpak.md 2)."""
