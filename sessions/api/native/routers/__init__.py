"""The routes, noun by noun: find, act, return."""
