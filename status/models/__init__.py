from .components import Component, Group, Impact
from .notices import Notice, NoticeUpdate

__all__ = ["Component", "Group", "Impact", "Notice", "NoticeUpdate"]
