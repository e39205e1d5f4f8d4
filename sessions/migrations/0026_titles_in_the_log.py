from typing import Any

from django.db import migrations


def forget_titles(apps: Any, _schema_editor: Any) -> None:
    """Take out of the log the titles that purges had made anew from a prompt: a later purge leaves the log's word.

    A receipt bears the time that all events of its purge bear, and the events have an index by it.
    """
    events = apps.get_model("koda_sessions", "Event").objects
    started = apps.get_model("koda_sessions", "Receipt").objects.order_by("pk").values_list("started_at", flat=True)
    for moment in started.iterator():
        for event in events.filter(received_at=moment, type="server.session_edited"):
            if "title" in event.payload["changes"] and "is_title_derived" not in event.payload:
                event.payload["is_title_derived"] = event.payload["changes"]["title"] is not None
                event.payload["changes"]["title"] = None
                event.save(update_fields=["payload"])


class Migration(migrations.Migration):

    dependencies = [
        ("koda_sessions", "0025_given_password"),
    ]

    operations = [
        migrations.RunPython(forget_titles, migrations.RunPython.noop, elidable=True),
    ]
