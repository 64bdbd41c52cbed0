"""Flows and storage may be observed; a limit the register does not state is null, not a made-up number."""

from django.db import migrations, models

ELEMENTS = ["rain_mm", "stage_m", "flow_m3s", "inflow_m3s", "outflow_m3s", "storage_m3"]
UNKNOWN = {
    "reservoir": {
        "dead_m": "DDZ 死水位",
        "normal_m": "NORMZ 正常高水位",
        "design_m": "DSFLZ 设计洪水位",
        "check_m": "CKFLZ 校核洪水位",
        "crest_m": "DAMEL 坝顶高程",
    },
    "river": {
        "warning_m": "WRZ 警戒水位",
        "guarantee_m": "GRZ 保证水位",
        "highest_m": "OBHTZ 实测最高水位",
        "bed_m": "river bed; a stage below bed - 2 m is impossible",
    },
}


class Migration(migrations.Migration):
    dependencies = [
        ("hydrology", "0008_unchanged_since"),
    ]

    operations = [
        migrations.AlterField(
            model_name="observation",
            name="element",
            field=models.CharField(choices=[(each, each) for each in ELEMENTS], max_length=16),
        ),
        migrations.AlterField(
            model_name="reservoir",
            name="gated",
            field=models.BooleanField(help_text="has gates; an ungated crest overflows by design", null=True),
        ),
        *[
            migrations.AlterField(
                model_name=model, name=name, field=models.FloatField(help_text=words, null=True)
            )
            for model, fields in UNKNOWN.items()
            for name, words in fields.items()
        ],
    ]
