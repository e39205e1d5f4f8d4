"""The pages: each view is a function on one screen, each page has a URL that keeps its filters."""
