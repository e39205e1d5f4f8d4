from django.db import migrations, models

import sessions.models.fields


class Migration(migrations.Migration):

    dependencies = [
        ("koda_sessions", "0031_message_aliases"),
    ]

    operations = [
        migrations.AddField(
            model_name="purgedcalls",
            name="turn_id",
            field=sessions.models.fields.WrittenTextField(null=True),
        ),
        migrations.AddIndex(
            model_name="purgedcalls",
            index=models.Index(condition=models.Q(("turn_id__isnull", False)), fields=["session", "turn_id"], name="purged_calls_of_turn"),
        ),
    ]
