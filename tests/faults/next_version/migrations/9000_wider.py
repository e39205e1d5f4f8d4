from django.db import migrations, models

from tests.faults.next_version.migrations import NEWEST


def fill(apps, schema_editor):
    apps.get_model("koda_sessions", "Message").objects.filter(mood="").update(mood="calm")


class Migration(migrations.Migration):
    """What a server of before does not know has a default in the database. On SQLite both tables are remade."""

    dependencies = [("koda_sessions", NEWEST)]

    operations = [
        migrations.AddField("Message", "mood", models.CharField(max_length=20, db_default="")),
        migrations.AddField("SearchEntry", "mood", models.CharField(max_length=20, db_default="")),
        migrations.RunPython(fill, migrations.RunPython.noop),
        migrations.AddIndex("Message", models.Index(fields=["mood", "id"], name="message_mood")),
    ]
