"""Sources we poll, radar pictures, ranks of feeds; packed fields are kept once by content."""

import django.db.models.deletion
from django.db import migrations, models

KEEP_FIELDS_ONCE = """
INSERT INTO hydrology_blob (digest, content)
SELECT DISTINCT ON (digest) digest, field FROM hydrology_gridrun ORDER BY digest;
UPDATE hydrology_gridrun SET blob_id = digest;
SET CONSTRAINTS ALL IMMEDIATE;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("hydrology", "0003_rain_total"),
    ]

    operations = [
        migrations.CreateModel(
            name="Blob",
            fields=[
                (
                    "digest",
                    models.CharField(
                        help_text="SHA-256 of what the bytes say",
                        max_length=64,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("content", models.BinaryField()),
            ],
        ),
        migrations.AddField(
            model_name="feed",
            name="rank",
            field=models.PositiveSmallIntegerField(
                default=1,
                help_text="1 is believed first; a worse rank counts where every better one is silent",
            ),
        ),
        migrations.AddField(
            model_name="feedmark",
            name="accepted",
            field=models.PositiveBigIntegerField(default=0),
        ),
        migrations.AddField(
            model_name="feedmark",
            name="good_at",
            field=models.DateTimeField(help_text="when something of it was last accepted", null=True),
        ),
        migrations.AddField(
            model_name="feedmark",
            name="lag_s",
            field=models.FloatField(
                help_text="newest instant of the last accepted post to its receipt", null=True
            ),
        ),
        migrations.AddField(
            model_name="gridrun",
            name="rank",
            field=models.PositiveSmallIntegerField(default=1, help_text="of its feed when it came"),
        ),
        migrations.AddField(
            model_name="latest",
            name="feed",
            field=models.ForeignKey(
                db_index=False,
                help_text="who said it",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                to="hydrology.feed",
            ),
        ),
        migrations.AddField(
            model_name="station",
            name="datum_correction_m",
            field=models.FloatField(help_text="DTPR 基面修正值", null=True),
        ),
        migrations.AddField(
            model_name="station",
            name="datum_elevation_m",
            field=models.FloatField(help_text="DTMEL 基面高程", null=True),
        ),
        migrations.AlterField(
            model_name="feedpost",
            name="kind",
            field=models.CharField(help_text="readings, grid or radar", max_length=16),
        ),
        migrations.AlterField(
            model_name="station",
            name="kind",
            field=models.CharField(
                choices=[("PP", "雨量站"), ("RR", "水库站"), ("ZZ", "河道水位站"), ("TT", "潮位站")],
                max_length=2,
            ),
        ),
        migrations.AddField(
            model_name="gridrun",
            name="blob",
            field=models.ForeignKey(
                help_text="science.grids.pack of (step, lat, lon), mm",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="hydrology.blob",
            ),
        ),
        migrations.CreateModel(
            name="Source",
            fields=[
                ("key", models.CharField(max_length=64, primary_key=True, serialize=False)),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("url", "a file at an address, fetched again and again"),
                            ("folder", "files that appear in a folder of this machine"),
                            ("database", "tables of SL 323, read only"),
                            ("mqtt", "messages of a broker; kept by the command listen_mqtt"),
                        ],
                        max_length=16,
                    ),
                ),
                (
                    "address",
                    models.CharField(
                        blank=True, help_text="URL, folder or topic; no password", max_length=400
                    ),
                ),
                (
                    "secret_env",
                    models.CharField(
                        blank=True, help_text="environment variable with the secret", max_length=64
                    ),
                ),
                (
                    "door",
                    models.CharField(
                        default="readings", help_text="what it brings: readings, grid or radar", max_length=16
                    ),
                ),
                (
                    "mapping",
                    models.JSONField(default=dict, help_text="units, codes and columns of this source"),
                ),
                ("every_s", models.PositiveIntegerField(default=300)),
                (
                    "wet_every_s",
                    models.PositiveIntegerField(default=60, help_text="period while it rains anywhere"),
                ),
                ("due_at", models.DateTimeField()),
                (
                    "mark",
                    models.JSONField(default=dict, help_text="how far it has been read: times, names, ETag"),
                ),
                ("good_at", models.DateTimeField(null=True)),
                ("failures", models.PositiveIntegerField(default=0, help_text="in a row")),
                (
                    "fault",
                    models.CharField(
                        blank=True,
                        help_text="why the last poll failed; empty when it did not",
                        max_length=400,
                    ),
                ),
                ("enabled", models.BooleanField(default=True)),
                (
                    "feed",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="sources",
                        to="hydrology.feed",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="RadarFrame",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("radar", models.CharField(help_text="a radar's or a mosaic's name", max_length=32)),
                ("product", models.CharField(help_text="CR, R, …", max_length=16)),
                ("observed_at", models.DateTimeField()),
                ("revision", models.PositiveSmallIntegerField(default=0)),
                ("west", models.FloatField()),
                ("south", models.FloatField()),
                ("east", models.FloatField()),
                ("north", models.FloatField()),
                ("width", models.PositiveIntegerField()),
                ("height", models.PositiveIntegerField()),
                (
                    "scale",
                    models.JSONField(
                        default=list, help_text="[[dBZ from, #rrggbb], …] as the source states it"
                    ),
                ),
                (
                    "cadence_s",
                    models.PositiveIntegerField(default=360, help_text="volume scans of 6 minutes"),
                ),
                ("received_at", models.DateTimeField()),
                (
                    "picture",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="hydrology.blob"
                    ),
                ),
                (
                    "post",
                    models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to="hydrology.feedpost"),
                ),
                (
                    "thumb",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="hydrology.blob"
                    ),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["observed_at"], name="radar_frame_observed")],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("radar", "product", "observed_at", "revision"), name="radar_frame_once"
                    )
                ],
            },
        ),
        migrations.RunSQL(KEEP_FIELDS_ONCE, migrations.RunSQL.noop),
        migrations.RemoveField(model_name="gridrun", name="digest"),
        migrations.RemoveField(model_name="gridrun", name="field"),
        migrations.AlterField(
            model_name="gridrun",
            name="blob",
            field=models.ForeignKey(
                help_text="science.grids.pack of (step, lat, lon), mm",
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="hydrology.blob",
            ),
        ),
    ]
