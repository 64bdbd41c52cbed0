"""Whose post has begun since a message was sent: asked every 20 s."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("officers", "0011_code_sources")]

    operations = [migrations.AddIndex("post", models.Index(fields=["valid_from"], name="post_began"))]
