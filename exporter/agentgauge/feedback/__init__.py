"""The flywheel: what people approve, edit and reject becomes the next version of the prompts. Knows no agent."""
