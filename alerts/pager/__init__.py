"""The bundle's pager: an Alertmanager webhook that prints each page, and a list of what is wrong now."""

from alerts.pager.app import HOSTS, Escalation, create_app

__all__ = ["HOSTS", "Escalation", "create_app"]
