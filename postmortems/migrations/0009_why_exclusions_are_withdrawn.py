"""Why an exclusion was withdrawn is kept with it: time that counts again is money (R-902)."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("postmortems", "0008_runs_of_reconciliation")]
    operations = [
        migrations.AddField(
            model_name="exclusion",
            name="withdrawn_because",
            field=models.TextField(blank=True, default="", max_length=1000),
            preserve_default=False,
        ),
    ]
