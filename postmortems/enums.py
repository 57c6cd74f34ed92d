"""The words of a review (R-1003)."""

from django.db.models import TextChoices


class Stage(TextChoices):
    DRAFT = "draft", "Draft"
    IN_REVIEW = "in_review", "In review"
    APPROVED = "approved", "Approved"
    PUBLISHED = "published", "Published"
