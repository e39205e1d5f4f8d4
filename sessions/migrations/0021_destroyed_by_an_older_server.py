from typing import Any

from django.db import migrations

NAME = "koda_sessions_session_gone"
_BODY = """
    UPDATE koda_sessions_share SET session_id = NULL WHERE session_id = OLD.id;
    DELETE FROM koda_sessions_purgedcalls WHERE session_id = OLD.id;
    DELETE FROM koda_sessions_footprint WHERE session_id = OLD.id;
"""
_SQLITE = f"CREATE TRIGGER {NAME} BEFORE DELETE ON koda_sessions_session BEGIN {_BODY} END"
_POSTGRESQL = (
    f"CREATE OR REPLACE FUNCTION {NAME}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {_BODY} RETURN OLD; END $$",
    f"CREATE TRIGGER {NAME} BEFORE DELETE ON koda_sessions_session FOR EACH ROW EXECUTE FUNCTION {NAME}()",
)


def let_go(_apps: Any, schema_editor: Any) -> None:
    """Let a session's row go though rows point to it of whose tables an older server, which removes it, knows nothing.

    Such a server writes on until it is restarted, and purges. It deletes by itself what its own version knows of.
    """
    for statement in (_SQLITE,) if schema_editor.connection.vendor == "sqlite" else _POSTGRESQL:
        schema_editor.execute(statement)


def hold(_apps: Any, schema_editor: Any) -> None:
    """Take the trigger away."""
    if schema_editor.connection.vendor == "sqlite":
        schema_editor.execute(f"DROP TRIGGER IF EXISTS {NAME}")
    else:
        schema_editor.execute(f"DROP TRIGGER IF EXISTS {NAME} ON koda_sessions_session")
        schema_editor.execute(f"DROP FUNCTION IF EXISTS {NAME}()")


class Migration(migrations.Migration):

    dependencies = [
        ("koda_sessions", "0020_marks_of_the_log"),
    ]

    operations = [
        migrations.RunPython(let_go, hold),
    ]
