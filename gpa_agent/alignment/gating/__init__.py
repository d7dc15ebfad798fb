"""The gate: whether an adapter is better for its group, and still talks sense."""
