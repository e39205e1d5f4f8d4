"""The routes of Stakpak's contract, by what they are about."""
