"""The operator's console of this floor; each module registers its screens."""

from . import incidents, ledger, policies, policy_versions, runbook

__all__ = ["incidents", "ledger", "policies", "policy_versions", "runbook"]
