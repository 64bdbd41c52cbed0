"""A phone on a shelf has a duty of its own."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("officers", "0004_ended_sessions"),
    ]

    operations = [
        migrations.AlterField(
            model_name="post",
            name="duty",
            field=models.CharField(
                choices=[
                    ("command", "指挥"),
                    ("desk", "值班"),
                    ("flood", "三防责任人"),
                    ("engineer", "系统值班"),
                    ("reporter", "灾害信息员"),
                    ("forest", "森防人员"),
                    ("canary", "探测手机"),
                ],
                max_length=16,
            ),
        ),
    ]
