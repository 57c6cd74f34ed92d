"""Most acts of an incident change no amount: what credits read of it is known by a digest (R-903)."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("postmortems", "0006_batches_are_locked")]
    operations = [
        migrations.AddField(
            model_name="seen",
            name="digest",
            field=models.CharField(blank=True, default="", max_length=64),
            preserve_default=False,
        ),
    ]
