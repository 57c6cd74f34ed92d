from .components import Component, Group, Impact
from .contact import AnswerTarget
from .notices import Notice, NoticeUpdate

__all__ = ["AnswerTarget", "Component", "Group", "Impact", "Notice", "NoticeUpdate"]
