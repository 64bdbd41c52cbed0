"""Where a code was asked for and wrong ones were typed. With defaults in the database: the release before writes codes too."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("officers", "0010_positions"),
    ]

    operations = [
        migrations.AddField(
            model_name="onetimecode",
            name="source",
            field=models.CharField(
                db_default="", default="", help_text="digest of the address that asked", max_length=64
            ),
        ),
        migrations.AddField(
            model_name="onetimecode",
            name="tries_elsewhere",
            field=models.PositiveSmallIntegerField(db_default=0, default=0),
        ),
        migrations.AddIndex(
            model_name="onetimecode",
            index=models.Index(fields=["source", "expires_at"], name="code_source"),
        ),
        migrations.CreateModel(
            name="WrongGuess",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("source", models.CharField(help_text="digest of the address it came from", max_length=64)),
                ("at", models.DateTimeField()),
            ],
            options={
                "indexes": [
                    models.Index(fields=["source", "at"], name="guess_source"),
                    models.Index(fields=["at"], name="guess_at"),
                ],
            },
        ),
    ]
