"""The alerts, one module an area of concern; each is one rule group."""
