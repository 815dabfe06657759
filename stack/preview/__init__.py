"""The generated Grafana dashboards, drawn with live data where there is no Grafana."""
