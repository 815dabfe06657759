"""A sales floor that drives the Sales Companion: reps who come, ask, think, rate and leave."""
