"""The HTTP doors for programs: what all three contracts share stands here, each contract in a package of its own.

Shared modules know nothing of the contracts; the contracts know nothing of each other.
"""
