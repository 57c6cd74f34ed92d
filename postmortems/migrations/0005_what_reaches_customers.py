"""Entries in customers' balances at Stripe, links to their statements, and an index for letters (R-905, R-906)."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("notifications", "0018_colleagues"),
        ("postmortems", "0004_rules_freeze"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="BalanceEntry",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("number", models.PositiveSmallIntegerField()),
                ("key", models.CharField(max_length=160, unique=True)),
                ("account", models.CharField(help_text="The customer at Stripe: cus_…", max_length=80)),
                ("amount", models.BigIntegerField()),
                ("currency", models.CharField(help_text="Lower case.", max_length=3)),
                ("description", models.CharField(max_length=350)),
                ("metadata", models.JSONField(default=dict)),
                ("made_at", models.DateTimeField()),
                ("tries", models.PositiveSmallIntegerField(default=0)),
                ("next_at", models.DateTimeField()),
                ("in_doubt", models.BooleanField(default=False)),
                ("transaction", models.CharField(blank=True, help_text="Stripe's id of it: cbtxn_…", max_length=80)),
                ("done_at", models.DateTimeField(blank=True, null=True)),
                ("refused_at", models.DateTimeField(blank=True, help_text="Stripe refused it for good.", null=True)),
                ("error", models.CharField(blank=True, max_length=250)),
                ("compared_at", models.DateTimeField(blank=True, null=True)),
            ],
            options={
                "verbose_name_plural": "balance entries",
                "ordering": ["pk"],
            },
        ),
        migrations.CreateModel(
            name="StatementLink",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("digest", models.CharField(max_length=64, unique=True)),
                ("given_to", models.CharField(blank=True, max_length=250)),
                ("made_at", models.DateTimeField()),
                ("expires_at", models.DateTimeField()),
                ("revoked_at", models.DateTimeField(blank=True, null=True)),
                ("last_seen_at", models.DateTimeField(blank=True, null=True)),
            ],
            options={
                "ordering": ["-made_at", "-pk"],
            },
        ),
        migrations.CreateModel(
            name="StripeState",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("refused_key", models.CharField(blank=True, max_length=64)),
                ("stopped_at", models.DateTimeField(blank=True, null=True)),
                ("stopped_why", models.CharField(blank=True, max_length=250)),
                ("compared_at", models.DateTimeField(blank=True, null=True)),
                ("findings", models.JSONField(default=dict)),
            ],
        ),
        migrations.AddIndex(
            model_name="credit",
            index=models.Index(
                condition=models.Q(("state", "applied"), ("told_at__isnull", True)),
                fields=["applied_at"],
                name="credit_untold",
            ),
        ),
        migrations.AddField(
            model_name="balanceentry",
            name="credit",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="balance_entries", to="postmortems.credit"
            ),
        ),
        migrations.AddField(
            model_name="statementlink",
            name="customer",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="statement_links", to="notifications.customer"
            ),
        ),
        migrations.AddField(
            model_name="statementlink",
            name="made_by",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.SET_NULL, related_name="+", to=settings.AUTH_USER_MODEL
            ),
        ),
        migrations.AddField(
            model_name="statementlink",
            name="revoked_by",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.SET_NULL, related_name="+", to=settings.AUTH_USER_MODEL
            ),
        ),
        migrations.AddIndex(
            model_name="balanceentry",
            index=models.Index(
                condition=models.Q(("done_at__isnull", True), ("refused_at__isnull", True)),
                fields=["account", "id"],
                name="balance_entry_open",
            ),
        ),
        migrations.AddIndex(
            model_name="balanceentry",
            index=models.Index(
                condition=models.Q(("done_at__isnull", False)),
                fields=["compared_at", "account"],
                name="balance_entry_done",
            ),
        ),
        migrations.AddConstraint(
            model_name="balanceentry",
            constraint=models.UniqueConstraint(fields=("credit", "number"), name="one_balance_entry_per_number"),
        ),
        migrations.AddConstraint(
            model_name="balanceentry",
            constraint=models.UniqueConstraint(
                condition=models.Q(("refused_at__isnull", True)),
                fields=("credit",),
                name="one_balance_entry_not_refused",
            ),
        ),
        migrations.AddIndex(
            model_name="statementlink",
            index=models.Index(fields=["customer", "-made_at"], name="statement_links_of_customer"),
        ),
    ]
