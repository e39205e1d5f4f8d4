from typing import Any

from django.db import migrations


def forget(apps: Any, _schema_editor: Any) -> None:
    """Let the figures be counted anew: what turns took was kept with the time in which a person was waited for."""
    for name in ("FigureSum", "Place", "Share", "FigureMark"):
        apps.get_model("koda_sessions", name).objects.all().delete()


class Migration(migrations.Migration):

    dependencies = [
        ("koda_sessions", "0032_purged_calls_of_turns"),
    ]

    operations = [
        migrations.RunPython(forget, forget),
    ]
