from typing import Any

import django.db.models.deletion
from django.db import migrations, models

NAME = "koda_sessions_session_gone"
_BEFORE = """
    UPDATE koda_sessions_share SET session_id = NULL WHERE session_id = OLD.id;
    DELETE FROM koda_sessions_purgedcalls WHERE session_id = OLD.id;
    DELETE FROM koda_sessions_footprint WHERE session_id = OLD.id;
    DELETE FROM koda_sessions_purgedmessages WHERE session_id = OLD.id;
"""
_NEW = """
    DELETE FROM koda_sessions_messagealias WHERE session_id = OLD.id;
"""


def let_go(_apps: Any, schema_editor: Any) -> None:
    """Let a session's row go though rows point to it of which an older server, which removes it, knows nothing."""
    _write(schema_editor, _BEFORE + _NEW)


def hold(_apps: Any, schema_editor: Any) -> None:
    """Take the new table out of the trigger."""
    _write(schema_editor, _BEFORE)


def _write(schema_editor: Any, body: str) -> None:
    """Give the trigger, which an earlier migration made, another body."""
    if schema_editor.connection.vendor == "sqlite":
        schema_editor.execute(f"DROP TRIGGER IF EXISTS {NAME}")
        schema_editor.execute(f"CREATE TRIGGER {NAME} BEFORE DELETE ON koda_sessions_session BEGIN {body} END")
    else:
        schema_editor.execute(
            f"CREATE OR REPLACE FUNCTION {NAME}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} RETURN OLD; END $$"
        )


class Migration(migrations.Migration):

    dependencies = [
        ("koda_sessions", "0030_destroyed_sessions"),
    ]

    operations = [
        migrations.AddField(
            model_name="session",
            name="has_message_aliases",
            field=models.BooleanField(null=True, help_text="A purge left client ids of messages that are no more."),
        ),
        migrations.CreateModel(
            name="MessageAlias",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("digest", models.CharField(max_length=32)),
                ("message_id", models.BigIntegerField()),
                ("session", models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name="+", to="koda_sessions.session")),
            ],
            options={
                "verbose_name_plural": "message aliases",
                "constraints": [models.UniqueConstraint(fields=("session", "digest"), name="message_alias_once")],
            },
        ),
        migrations.RunPython(let_go, hold),
    ]
