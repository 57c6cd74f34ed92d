from .contracts import Contract, Term
from .customers import BalanceEntry, StatementLink, StripeState
from .ledger import Batch, BatchNumber, Credit, CreditDeed, Posting
from .months import Assessment, ContractMonth, Exclusion, OutageFacts, Run, Seen, Touch
from .reviews import Review
from .rules import RuleBook, RulesError, RuleVersion, Tier

__all__ = [
    "Assessment",
    "BalanceEntry",
    "Batch",
    "BatchNumber",
    "Contract",
    "ContractMonth",
    "Credit",
    "CreditDeed",
    "Exclusion",
    "OutageFacts",
    "Posting",
    "Review",
    "RuleBook",
    "RuleVersion",
    "RulesError",
    "Run",
    "Seen",
    "StatementLink",
    "StripeState",
    "Term",
    "Tier",
    "Touch",
]
