"""The scenario kit: timed events as data, and what must be seen after each. See docs/scenarios.md."""
