from django.db import migrations, models


class Migration(migrations.Migration):
    """Reconciliation keeps its last answer; only the words of a choice change."""

    dependencies = [("postmortems", "0007_seen_digest")]
    operations = [
        migrations.AlterField(
            model_name="run",
            name="kind",
            field=models.CharField(
                choices=[
                    ("assess", "Assessment of a month"),
                    ("dry_run", "Dry run of other rules"),
                    ("recheck", "Second opinion"),
                    ("ledger", "Reconciliation of the ledger"),
                ],
                max_length=8,
            ),
        ),
    ]
