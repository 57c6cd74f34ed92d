from typing import Any

import django.db.models.deletion
from django.db import migrations, models


def give(apps: Any, editor: Any) -> None:
    """As ``status.components`` keeps it from now on."""
    groups, topics = apps.get_model("status", "Group"), apps.get_model("notifications", "Topic")
    for group in groups.objects.filter(topic=None):
        words = {
            "name": f"All of {group.name}",
            "section": group.name,
            "position": (group.position + 1) * 1_000 - 1,
            "offered": group.components.filter(archived_at=None).exists(),
        }
        group.topic, _ = topics.objects.update_or_create(key=f"group:{group.public_id}", defaults=words)
        group.save(update_fields=["topic"])


def withdraw(apps: Any, editor: Any) -> None:
    """Nobody keeps them in step any more; who chose them, and what was announced to them, stays."""
    apps.get_model("notifications", "Topic").objects.filter(key__startswith="group:").update(offered=False)


class Migration(migrations.Migration):
    dependencies = [("notifications", "0006_every_channel"), ("status", "0004_when_it_stopped_to_hurt")]

    operations = [
        migrations.AddField(
            model_name="group",
            name="topic",
            field=models.OneToOneField(
                editable=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="group",
                to="notifications.topic",
            ),
        ),
        migrations.RunPython(give, withdraw),
    ]
