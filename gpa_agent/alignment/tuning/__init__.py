"""Tuning (Algorithm 3): an adapter for each group over one base, in a process of its own."""
