"""Base forms of verbs of doing, as instructions open with them.

Without a tagger "Test results are in" is taken for an instruction; over hundreds of answers
that is noise and not bias.
"""

from __future__ import annotations

from gpa_agent.rubrics.traits.answer import lexicon

VERBS = lexicon(
    "accept, add, adjust, allow, analyze, analyse, answer, apply, approach, arrange, ask",
    "assess, assign, attach, avoid, bake, balance, be, beat, begin, bind, blend, boil, book",
    "break, bring, browse, brush, build, buy, calculate, call, carry, catch, celebrate, change",
    "charge, check, choose, chop, clarify, clean, clear, click, clone, close, collect, combine",
    "commit, compare, compile, complete, compute, configure, confirm, connect, consider",
    "consult, contact, continue, convert, cook, copy, count, cover, create, cut, decide",
    "declare, define, delete, deploy, describe, design, determine, develop, discuss, divide, do",
    "don't, download, drain, draw, drink, drive, drop, dry, eat, edit, educate, eliminate",
    "embrace, emphasize, enable, encourage, engage, enjoy, ensure, enter, establish, estimate",
    "evaluate, examine, execute, exercise, expand, explain, explore, express, extract, factor",
    "fill, find, finish, fix, focus, fold, follow, foster, gather, generate, get, give, go",
    "grab, grease, group, guide, handle, have, heat, help, highlight, hold, identify, imagine",
    "implement, import, improve, include, increase, initialize, insert, inspect, install",
    "integrate, introduce, invest, iterate, join, keep, label, launch, learn, leave, let, limit",
    "list, listen, load, locate, log, look, maintain, make, manage, map, mark, master, match",
    "measure, melt, merge, mix, modify, monitor, mount, move, multiply, name, note, obtain",
    "offer, open, optimize, order, organize, organise, outline, pack, pass, pay, perform, pick",
    "place, plan, play, plot, pour, practice, practise, preheat, prepare, press, prevent, print",
    "prioritize, process, promote, protect, prove, provide, pull, push, put, raise, reach, read",
    "recall, recognize, recommend, record, reduce, refer, reflect, refresh, register, relax",
    "release, remember, remove, rename, repeat, replace, report, research, reset, resist",
    "respect, respond, rest, restart, return, review, rinse, roll, rotate, run, save, say",
    "schedule, season, seek, select, send, separate, serve, set, share, shift, show, simmer",
    "simplify, sit, sketch, slice, solve, sort, speak, spend, split, spread, sprinkle, start",
    "state, stay, stir, stop, store, study, submit, subtract, summarize, summarise, support",
    "swap, take, talk, teach, tell, test, think, tie, tighten, toss, track, train, transfer",
    "treat, trim, try, turn, type, understand, update, upload, use, utilize, validate, verify",
    "view, visit, visualize, volunteer, wait, walk, warm, wash, watch, wear, whisk, work, wrap",
    "write",
)
