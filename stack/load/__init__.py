"""``make load``: many replicas on one Prometheus, what that costs, and what follows for ten thousand of them."""
