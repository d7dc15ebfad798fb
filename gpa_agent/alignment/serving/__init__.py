"""Serving (Algorithm 5): group models in this process, behind an endpoint, or anywhere."""
