from typing import Any

from django.db import migrations, models


def remember(apps: Any, editor: Any) -> None:
    """Until now everything that was told went by every channel there was: e-mail."""
    told = apps.get_model("status", "Notice").objects.filter(told_rank__isnull=False)
    told.update(told_channels=["email"])


class Migration(migrations.Migration):
    dependencies = [("status", "0005_groups_have_a_topic")]

    operations = [
        migrations.AddField(model_name="notice", name="told_channels", field=models.JSONField(default=list)),
        migrations.RunPython(remember, migrations.RunPython.noop),
    ]
