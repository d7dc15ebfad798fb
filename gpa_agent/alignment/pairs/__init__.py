"""Contrastive pairs (Algorithm 4): judged answers, each with a twin in the other manner."""
