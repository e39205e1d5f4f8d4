"""The product's settings, with the migrations of the next version."""

from koda_web.settings import *  # noqa: F403

MIGRATION_MODULES = {"koda_sessions": "tests.faults.next_version.migrations"}
