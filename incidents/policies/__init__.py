"""Policies as data, and what may be done to them: load, revise, put in force, confirm (R-101, R-102, R-108)."""

from incidents.models.policy import PolicyError

from .channels import Cells, set_channels
from .loading import Loaded, load_presets
from .offered import offer_first
from .table import Overview, differences, overview
from .versions import confirm, flaws, in_force, put_in_force, revise

__all__ = [
    "Cells",
    "Loaded",
    "Overview",
    "PolicyError",
    "confirm",
    "differences",
    "flaws",
    "in_force",
    "load_presets",
    "offer_first",
    "overview",
    "put_in_force",
    "revise",
    "set_channels",
]
