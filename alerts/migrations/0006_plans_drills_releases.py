"""Plans, tasks, measures and papers of orders; drills; storms; releases that wait for a person."""

import django.contrib.postgres.fields
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("alerts", "0005_signals"),
        ("hydrology", "0010_hazard_points"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Attachment",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("name", models.CharField(max_length=120)),
                ("media_type", models.CharField(max_length=80)),
                ("sha256", models.CharField(max_length=64)),
                ("size", models.PositiveIntegerField(help_text="bytes")),
                ("body", models.BinaryField()),
                ("added_at", models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name="Drill",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("name", models.CharField(max_length=80)),
                (
                    "areas",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=32),
                        help_text="region codes at or below the authority",
                        size=None,
                    ),
                ),
                (
                    "duties",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=16), size=None
                    ),
                ),
                (
                    "officers",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.BigIntegerField(),
                        default=list,
                        help_text="who takes part; frozen when it begins",
                        size=None,
                    ),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("planned", "计划中"),
                            ("running", "演练中"),
                            ("paused", "已暂停"),
                            ("ended", "已结束"),
                        ],
                        default="planned",
                        max_length=16,
                    ),
                ),
                ("why", models.CharField(blank=True, help_text="of the newest pause or end", max_length=200)),
                ("created_at", models.DateTimeField()),
                ("began_at", models.DateTimeField(null=True)),
                ("ended_at", models.DateTimeField(null=True)),
                (
                    "slot_at",
                    models.DateTimeField(
                        help_text="END of the last slot of its storm that was assessed", null=True
                    ),
                ),
                ("states", models.JSONField(default=dict, help_text="as WatchMark.states, of its own storm")),
            ],
        ),
        migrations.CreateModel(
            name="DrillFrame",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("product", models.CharField(help_text="observed or nowcast", max_length=16)),
                ("issued_at", models.DateTimeField(help_text="END of the step; of a nowcast its issue")),
                ("body", models.BinaryField()),
                ("received_at", models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name="Held",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("words", models.JSONField(help_text="title, push and body, zh and en")),
                (
                    "fields",
                    models.JSONField(
                        help_text="the other columns the bulletin will have; times as seconds from its release"
                    ),
                ),
                ("held_at", models.DateTimeField()),
                (
                    "release_at",
                    models.DateTimeField(
                        help_text="by itself then; null: only a person releases it", null=True
                    ),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("held", "待发布"),
                            ("released", "已发布"),
                            ("dropped", "不发布"),
                            ("overtaken", "已被取代"),
                        ],
                        default="held",
                        max_length=16,
                    ),
                ),
                ("decided_at", models.DateTimeField(null=True)),
                ("note", models.CharField(blank=True, max_length=200)),
            ],
        ),
        migrations.CreateModel(
            name="OrderMeasure",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "sector",
                    models.CharField(
                        choices=[
                            ("school", "停课"),
                            ("work", "停工"),
                            ("production", "停产"),
                            ("transport", "停运"),
                            ("business", "停业"),
                        ],
                        max_length=16,
                    ),
                ),
                (
                    "areas",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=32), size=None
                    ),
                ),
                ("starts_at", models.DateTimeField(help_text="null: with the order", null=True)),
                ("ends_at", models.DateTimeField(help_text="null: with the order", null=True)),
                ("note", models.CharField(blank=True, max_length=200)),
            ],
        ),
        migrations.CreateModel(
            name="OrderTask",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("number", models.PositiveSmallIntegerField()),
                (
                    "duty",
                    models.CharField(blank=True, help_text="empty: every duty addressed", max_length=16),
                ),
                (
                    "level",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("city", "市"),
                            ("district", "区"),
                            ("street", "街道"),
                            ("community", "社区"),
                            ("frontline", "前端末梢"),
                        ],
                        help_text="of his post; empty: any",
                        max_length=16,
                    ),
                ),
                ("text_zh", models.CharField(max_length=400)),
                ("text_en", models.CharField(blank=True, max_length=800)),
                (
                    "due_min",
                    models.PositiveIntegerField(help_text="minutes after the release; null: none", null=True),
                ),
            ],
        ),
        migrations.CreateModel(
            name="PlanTable",
            fields=[
                ("version", models.CharField(max_length=32, primary_key=True, serialize=False)),
                ("valid_from", models.DateTimeField()),
                ("rows", models.JSONField(help_text="alerts/assessment/plans.py says what it looks like")),
                ("note", models.CharField(blank=True, max_length=200)),
            ],
        ),
        migrations.CreateModel(
            name="ReleaseTable",
            fields=[
                ("version", models.CharField(max_length=32, primary_key=True, serialize=False)),
                ("valid_from", models.DateTimeField()),
                ("rows", models.JSONField(help_text="alerts/assessment/policy.py says what it looks like")),
                ("note", models.CharField(blank=True, max_length=200)),
            ],
        ),
        migrations.CreateModel(
            name="Storm",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "hazard",
                    models.CharField(
                        choices=[
                            ("rainstorm", "强降雨"),
                            ("flood", "防汛"),
                            ("reservoir", "水库水位"),
                            ("river", "河道水位"),
                            ("tide", "潮位"),
                        ],
                        default="rainstorm",
                        max_length=16,
                    ),
                ),
                (
                    "streets",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=32),
                        help_text="every street it has touched",
                        size=None,
                    ),
                ),
                ("began_at", models.DateTimeField(help_text="END of the slot (data time)")),
                ("last_at", models.DateTimeField(help_text="END of the slot in which it last moved")),
                ("ended_at", models.DateTimeField(null=True)),
            ],
        ),
        migrations.RemoveConstraint(
            model_name="responseorder",
            name="order_approved_before_issue",
        ),
        migrations.RemoveConstraint(
            model_name="warning",
            name="warning_one_open",
        ),
        migrations.AddField(
            model_name="bulletin",
            name="renews",
            field=models.BooleanField(
                default=False,
                help_text="who has something as grave of this thread is not rung again: it is renewed in place",
            ),
        ),
        migrations.AddField(
            model_name="bulletin",
            name="thread",
            field=models.CharField(
                blank=True, help_text="what belongs together, e.g. storm/7, order/12", max_length=32
            ),
        ),
        migrations.AddField(
            model_name="responseorder",
            name="action",
            field=models.CharField(
                choices=[("start", "启动"), ("upgrade", "升级"), ("downgrade", "降级"), ("convert", "转换")],
                default="start",
                max_length=16,
            ),
        ),
        migrations.AddField(
            model_name="responseorder",
            name="effective_at",
            field=models.DateTimeField(help_text="it is released then; null: when issued", null=True),
        ),
        migrations.AddField(
            model_name="responseorder",
            name="ended_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="responseorder",
            name="head_count",
            field=models.PositiveIntegerField(
                help_text="people addressed, as typed by who issued it", null=True
            ),
        ),
        migrations.AddField(
            model_name="responseorder",
            name="plan",
            field=models.CharField(blank=True, help_text="the template it was drafted from", max_length=64),
        ),
        migrations.AddField(
            model_name="responseorder",
            name="release_at",
            field=models.DateTimeField(
                help_text="issued: the first push goes then; it can be undone before", null=True
            ),
        ),
        migrations.AddField(
            model_name="responseorder",
            name="released_at",
            field=models.DateTimeField(help_text="when its bulletin was made", null=True),
        ),
        migrations.AddField(
            model_name="responseorder",
            name="replaces",
            field=models.ForeignKey(
                help_text="the order in force whose place it takes when it is released",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="replaced_by",
                to="alerts.responseorder",
            ),
        ),
        migrations.AddField(
            model_name="responseorder",
            name="report_every_h",
            field=models.PositiveSmallIntegerField(
                help_text="the feedback form is wanted so often; null: not at all", null=True
            ),
        ),
        migrations.AddField(
            model_name="responseorder",
            name="under",
            field=models.ForeignKey(
                help_text="the superior authority's order whose thread it joins",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="adds",
                to="alerts.responseorder",
            ),
        ),
        migrations.AddField(
            model_name="warningevent",
            name="actor",
            field=models.ForeignKey(
                help_text="null: the watch",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="warningevent",
            name="note",
            field=models.CharField(blank=True, help_text="of who did it by hand", max_length=200),
        ),
        migrations.AlterField(
            model_name="orderevent",
            name="after",
            field=models.CharField(
                choices=[
                    ("draft", "草稿"),
                    ("submitted", "待审"),
                    ("approved", "已批准"),
                    ("rejected", "已退回"),
                    ("issued", "已发布"),
                    ("withdrawn", "已撤回"),
                    ("ended", "已结束"),
                    ("superseded", "已被取代"),
                ],
                max_length=16,
            ),
        ),
        migrations.AlterField(
            model_name="orderevent",
            name="before",
            field=models.CharField(
                blank=True,
                choices=[
                    ("draft", "草稿"),
                    ("submitted", "待审"),
                    ("approved", "已批准"),
                    ("rejected", "已退回"),
                    ("issued", "已发布"),
                    ("withdrawn", "已撤回"),
                    ("ended", "已结束"),
                    ("superseded", "已被取代"),
                ],
                max_length=16,
            ),
        ),
        migrations.AlterField(
            model_name="responseorder",
            name="status",
            field=models.CharField(
                choices=[
                    ("draft", "草稿"),
                    ("submitted", "待审"),
                    ("approved", "已批准"),
                    ("rejected", "已退回"),
                    ("issued", "已发布"),
                    ("withdrawn", "已撤回"),
                    ("ended", "已结束"),
                    ("superseded", "已被取代"),
                ],
                default="draft",
                max_length=16,
            ),
        ),
        migrations.AlterField(
            model_name="warningevent",
            name="action",
            field=models.CharField(
                choices=[
                    ("raise", "发布"),
                    ("extend", "扩展"),
                    ("upgrade", "升级"),
                    ("downgrade", "降级"),
                    ("cancel", "解除"),
                    ("hold", "维持"),
                    ("expire", "失效"),
                    ("silent", "失联"),
                ],
                max_length=16,
            ),
        ),
        migrations.AddField(
            model_name="attachment",
            name="added_by",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
            ),
        ),
        migrations.AddField(
            model_name="attachment",
            name="order",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE,
                related_name="attachments",
                to="alerts.responseorder",
            ),
        ),
        migrations.AddField(
            model_name="drill",
            name="authority",
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to="hydrology.region"),
        ),
        migrations.AddField(
            model_name="drill",
            name="created_by",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
            ),
        ),
        migrations.AddField(
            model_name="bulletin",
            name="drill_of",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="bulletins",
                to="alerts.drill",
            ),
        ),
        migrations.AddField(
            model_name="responseorder",
            name="drill_of",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="orders",
                to="alerts.drill",
            ),
        ),
        migrations.AddField(
            model_name="warning",
            name="drill_of",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="warnings",
                to="alerts.drill",
            ),
        ),
        migrations.AddIndex(
            model_name="bulletin",
            index=models.Index(
                condition=models.Q(("thread", ""), _negated=True), fields=["thread"], name="bulletin_thread"
            ),
        ),
        migrations.AddIndex(
            model_name="responseorder",
            index=models.Index(
                condition=models.Q(("released_at", None), ("status", "issued")),
                fields=["release_at"],
                name="order_to_release",
            ),
        ),
        migrations.AddConstraint(
            model_name="bulletin",
            constraint=models.CheckConstraint(
                condition=models.Q(("drill_of", None), ("drill", True), _connector="OR"),
                name="bulletin_of_a_drill_is_a_drill",
            ),
        ),
        migrations.AddConstraint(
            model_name="responseorder",
            constraint=models.CheckConstraint(
                condition=models.Q(("drill_of", None), ("drill", True), _connector="OR"),
                name="order_of_a_drill_is_a_drill",
            ),
        ),
        migrations.AddConstraint(
            model_name="responseorder",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("status__in", ["approved", "issued", "ended", "superseded"]), _negated=True),
                    ("approved_by__isnull", False),
                    _connector="OR",
                ),
                name="order_approved_before_issue",
            ),
        ),
        migrations.AddConstraint(
            model_name="warning",
            constraint=models.UniqueConstraint(
                condition=models.Q(("ended_at", None)),
                fields=("hazard", "region", "station", "drill_of"),
                name="warning_one_open",
                nulls_distinct=False,
            ),
        ),
        migrations.AddConstraint(
            model_name="warning",
            constraint=models.CheckConstraint(
                condition=models.Q(("drill_of", None), ("drill", True), _connector="OR"),
                name="warning_of_a_drill_is_a_drill",
            ),
        ),
        migrations.AddField(
            model_name="drillframe",
            name="drill",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="frames", to="alerts.drill"
            ),
        ),
        migrations.AddField(
            model_name="held",
            name="bulletin",
            field=models.OneToOneField(
                null=True, on_delete=django.db.models.deletion.PROTECT, to="alerts.bulletin"
            ),
        ),
        migrations.AddField(
            model_name="held",
            name="decided_by",
            field=models.ForeignKey(
                help_text="null: the time limit",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="held",
            name="warning",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="held", to="alerts.warning"
            ),
        ),
        migrations.AddField(
            model_name="ordermeasure",
            name="order",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE,
                related_name="measures",
                to="alerts.responseorder",
            ),
        ),
        migrations.AddField(
            model_name="ordertask",
            name="order",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="tasks", to="alerts.responseorder"
            ),
        ),
        migrations.AddField(
            model_name="storm",
            name="drill_of",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to="alerts.drill"
            ),
        ),
        migrations.AddConstraint(
            model_name="attachment",
            constraint=models.UniqueConstraint(fields=("order", "sha256"), name="attachment_once"),
        ),
        migrations.AddConstraint(
            model_name="drillframe",
            constraint=models.UniqueConstraint(
                fields=("drill", "product", "issued_at"), name="drill_frame_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="held",
            constraint=models.UniqueConstraint(
                condition=models.Q(("state", "held")), fields=("warning",), name="held_one_open"
            ),
        ),
        migrations.AddConstraint(
            model_name="ordermeasure",
            constraint=models.UniqueConstraint(fields=("order", "sector"), name="order_measure_once"),
        ),
        migrations.AddConstraint(
            model_name="ordertask",
            constraint=models.UniqueConstraint(fields=("order", "number"), name="order_task_once"),
        ),
    ]
