"""Feedback on orders, reports on tasks, reminders."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('alerts', '0006_plans_drills_releases'),
        ('hydrology', '0010_hazard_points'),
        ('notifications', '0003_quiet_and_nights'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Feedback',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('at', models.DateTimeField(help_text="the phone's clock")),
                ('received_at', models.DateTimeField()),
                ('zero', models.BooleanField(help_text='零报告: nothing to report, said so')),
                ('figures', models.JSONField(help_text='{people, vehicles, inspected: {kind: n}, evacuees, waterlogging, incidents}, whole numbers')),
                ('note', models.CharField(blank=True, max_length=500)),
                ('officer', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('order', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='feedback', to='alerts.responseorder')),
                ('receipt', models.OneToOneField(help_text='where it came with a receipt', null=True, on_delete=django.db.models.deletion.PROTECT, to='notifications.receipt')),
                ('region', models.ForeignKey(help_text='whose own people and places it counts', on_delete=django.db.models.deletion.PROTECT, to='hydrology.region')),
            ],
            options={
                'indexes': [models.Index(fields=['order', 'region', '-id'], name='feedback_newest')],
            },
        ),
        migrations.CreateModel(
            name='Reminder',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('form', '催报'), ('zero', '零报告'), ('task', '任务超时')], max_length=16)),
                ('period', models.PositiveIntegerField(help_text='number of the period since the release, from 1')),
                ('sent_at', models.DateTimeField()),
                ('regions', models.PositiveIntegerField(help_text='from which something was missing')),
                ('order', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='reminders', to='alerts.responseorder')),
                ('task', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, to='alerts.ordertask')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('order', 'kind', 'task', 'period'), name='reminder_once', nulls_distinct=False), models.CheckConstraint(condition=models.Q(models.Q(('kind', 'task'), _negated=True), ('task__isnull', False), _connector='OR'), name='reminder_of_a_task')],
            },
        ),
        migrations.CreateModel(
            name='TaskReport',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('state', models.CharField(choices=[('doing', '进行中'), ('done', '已完成'), ('blocked', '有困难')], max_length=16)),
                ('at', models.DateTimeField(help_text="the phone's clock")),
                ('received_at', models.DateTimeField()),
                ('note', models.CharField(blank=True, max_length=500)),
                ('lon', models.FloatField(null=True)),
                ('lat', models.FloatField(null=True)),
                ('officer', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('region', models.ForeignKey(help_text='of the post by which the task is his', on_delete=django.db.models.deletion.PROTECT, to='hydrology.region')),
                ('task', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='reports', to='alerts.ordertask')),
            ],
            options={
                'indexes': [models.Index(fields=['task', 'officer', '-id'], name='task_report_newest')],
            },
        ),
    ]
