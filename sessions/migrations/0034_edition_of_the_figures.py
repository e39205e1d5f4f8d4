from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("koda_sessions", "0033_worked_without_waiting"),
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
