"""Group models: contrastive pairs (Algorithm 4), tuning, the gate, and serving (Algorithms 3, 5)."""
