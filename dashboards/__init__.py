"""Dashboards as code: one file a dashboard, ``panels.py`` for the house style, ``generated/`` for Grafana to read."""
