"""The routes of ZeroClaw's contract, by what they are about."""
