from django.db import migrations, models


class Migration(migrations.Migration):
    """What is kept already is of no edition, and so counted anew: it has the waiting in what turns took."""

    dependencies = [
        ("koda_sessions", "0032_purged_calls_of_turns"),
    ]

    operations = [
        migrations.AddField(
            model_name="figuremark",
            name="edition",
            field=models.PositiveSmallIntegerField(db_default=0, default=1, help_text="What the amounts mean."),
        ),
        migrations.AddField(
            model_name="figuremark",
            name="own_revision",
            field=models.BigIntegerField(db_default=0, default=0, help_text="Additions by those who know the edition."),
        ),
    ]
