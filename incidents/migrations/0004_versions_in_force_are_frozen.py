from django.db import migrations

from ._frozen import freeze, thaw


class Migration(migrations.Migration):
    dependencies = [("incidents", "0003_who_drafts_a_policy")]

    operations = [migrations.RunPython(freeze, thaw)]
