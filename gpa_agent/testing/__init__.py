"""Fakes and simulated worlds, shipped so that you test with what we test with.

`chat_models` and `openai_server` script a model's answers; `worlds` and `chat_world` plant a truth
to be found; `simulated_users` react to answers. Everything simulated says so: none of it is a
result about people or models.
"""
