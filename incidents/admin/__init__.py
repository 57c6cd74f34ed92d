"""The operator's console of this floor; each module registers its screens."""

from . import incidents, policies, policy_versions, runbook

__all__ = ["incidents", "policies", "policy_versions", "runbook"]
