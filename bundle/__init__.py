"""Rules, dashboards, runbooks and configuration for any agent, rendered from alerts, dashboards and runbooks."""
