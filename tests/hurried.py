"""manage.py for a server that loses patience sooner: the same code, with times a test can wait for."""

import os
from datetime import timedelta

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "koda_web.settings")

import django
from django.core.management import execute_from_command_line

django.setup()

from sessions.live import hub, keeper  # noqa: E402 - models need the set-up
from sessions.live.consumers import socket  # noqa: E402

socket.PATIENCE_SECONDS = 5
hub.TICK_SECONDS = 2
keeper._BEAT_WITH_REDIS_EVERY = timedelta(seconds=2)
keeper.LEASE_TIME = timedelta(seconds=5)

execute_from_command_line()
