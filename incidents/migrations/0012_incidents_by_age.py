"""The console's list of incidents is read from an index, newest first."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("incidents", "0011_acts_on_maintenance")]

    operations = [
        migrations.AddIndex(
            model_name="incident",
            index=models.Index(fields=["-declared_at", "-id"], name="incident_by_age"),
        ),
    ]
