"""The operator's console of this floor; each module registers its screens."""

from . import incidents, ledger, maintenances, policies, policy_versions, runbook

__all__ = ["incidents", "ledger", "maintenances", "policies", "policy_versions", "runbook"]
