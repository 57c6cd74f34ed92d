"""Celery: the doorbell. Tasks carry ids only; the database is the queue (stack.md, traps).

The whole beat table stands here; every entry may run late, twice or after a gap (F13).
"""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("heliograph")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()

app.conf.beat_schedule = {
    "find news whose recipients are not written down": {"task": "notifications.tasks.sweep", "schedule": 5.0},
    "write the digests that are due": {"task": "notifications.tasks.send_digests", "schedule": 30.0},
    "ask about texts that nobody knows the end of": {"task": "notifications.tasks.reconcile_texts", "schedule": 30.0},
    "audit the deliveries": {"task": "notifications.tasks.audit_deliveries", "schedule": 60.0},
    "tell who owes what is due or broken": {"task": "incidents.tasks.remind", "schedule": 15.0},
    "press the public page again": {"task": "status.tasks.press", "schedule": 30.0},
    "let followers of what is over go": {"task": "status.tasks.let_followers_go", "schedule": 600.0},
    "assess months whose facts changed": {"task": "postmortems.tasks.assess_outstanding", "schedule": 10.0},
    "estimate credits of what still runs": {"task": "postmortems.tasks.refresh_estimates", "schedule": 60.0},
    "work off assessments that were asked for": {"task": "postmortems.tasks.work_off_runs", "schedule": 10.0},
    "go on with dry runs of credit rules": {"task": "postmortems.tasks.go_on_with_dry_runs", "schedule": 60.0},
    "tell the billing system of closed months": {"task": "postmortems.tasks.tell_billing", "schedule": 30.0},
    "bring credits to Stripe": {"task": "postmortems.tasks.post_to_stripe", "schedule": 30.0},
    "write to customers about credits": {"task": "postmortems.tasks.write_about_credits", "schedule": 60.0},
    "compare Stripe's books with ours": {"task": "postmortems.tasks.compare_with_stripe", "schedule": 300.0},
    "approve credits that were held long enough": {"task": "postmortems.tasks.release_credits", "schedule": 60.0},
    "compute credits a second way": {"task": "postmortems.tasks.second_opinion", "schedule": 3600.0},
    "compare the books of credits": {"task": "postmortems.tasks.reconcile_credits", "schedule": 300.0},
    "forget what is kept no longer": {"task": "notifications.tasks.forget", "schedule": 3600.0},
}
