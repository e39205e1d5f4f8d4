from typing import Any

from django.db import migrations
from django.db.models import F


def mark_copies(apps: Any, _schema_editor: Any) -> None:
    """Mark the calls that forks copied before there was a mark: older than the fork, which began with a history."""
    events = apps.get_model("koda_sessions", "Event").objects
    forks = events.filter(session__parent__isnull=False, type="server.history_copied").values("session")
    calls = apps.get_model("koda_sessions", "ToolCall").objects
    calls.filter(session__in=forks, started_at__lt=F("session__created_at")).update(is_copy=True)


class Migration(migrations.Migration):

    dependencies = [
        ("koda_sessions", "0016_figure_sums"),
    ]

    operations = [
        migrations.RunPython(mark_copies, migrations.RunPython.noop, elidable=True),
    ]
