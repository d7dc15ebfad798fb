"""A whole miniature: a tiny model, a little domain, two groups' checkable tastes, all simulated.

`base.make_base` trains the model in about half a minute; `world.MiniatureWorld` is a log whose
groups differ; `twins.TwinWriter` writes twins for it; `preferences.pairs` makes pairs without
a log; `checks.Checks` judges; `winning.win_matrix` says who wins for whom.
"""
