"""The Sales Companion: an agent that uses agentgauge the way a customer would."""
