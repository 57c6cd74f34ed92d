from .book import ImpactAdmin, NoticeAdmin
from .components import ComponentAdmin, GroupAdmin

__all__ = ["ComponentAdmin", "GroupAdmin", "ImpactAdmin", "NoticeAdmin"]
