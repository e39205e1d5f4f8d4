"""The ground of Koda Web: configuration, routing and the way in."""

__version__ = "0.1.0"
