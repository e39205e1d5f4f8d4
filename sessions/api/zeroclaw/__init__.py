"""ZeroClaw's contract, at `/api/zeroclaw/`: one route for each method of its SessionBackend (version 0.6.9)."""
