from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("status", "0007_windows_of_maintenance")]

    operations = [
        migrations.AddField(
            model_name="noticeupdate", name="chat", field=models.TextField(blank=True, default="", max_length=1000)
        ),
        migrations.AddField(
            model_name="noticeupdate", name="translations", field=models.JSONField(blank=True, default=dict)
        ),
    ]
