"""The sales side of the Companion: its CRM, its tools and its prompts."""
