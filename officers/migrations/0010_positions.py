"""Which position (岗位编号) a post fills. With a default in the database: the release before writes posts without it."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("officers", "0009_two_languages"),
    ]

    operations = [
        migrations.AddField(
            model_name="post",
            name="position",
            field=models.CharField(
                blank=True,
                db_default="",
                default="",
                help_text="岗位编号: the position this post fills; A and B of one position stand in for each other",
                max_length=32,
            ),
        ),
    ]
