"""The bundle's pager: an Alertmanager webhook that prints each page, and a list of what is wrong now."""

from alerts.pager.app import HOSTS, Following, create_app
from alerts.pager.escalation import Escalation

__all__ = ["HOSTS", "Escalation", "Following", "create_app"]
