"""Technical terms of fields that people ask chat models about.

Words that a layperson does not use in talk; a term that also has an everyday meaning
("function", "return", "balance") is left out. The list is a sample: it ranks answers by how
technical they are and does not find every term.
"""

from __future__ import annotations

from gpa_agent.rubrics.traits.answer import lexicon

_COMPUTING = (
    "algorithm, algorithms, api, apis, array, arrays, asynchronous, async, authentication",
    "backend, bitwise, boolean, bytecode, cache, caching, cardinality, cli, codebase, compiler",
    "concurrency, config, constructor, container, containers, cron, daemon, database, dataframe",
    "debugger, dns, decorator, dependency, dependencies, deserialize, docker, endpoint",
    "endpoints, enum, exception, exceptions, exception handler, framework, frontend",
    "garbage collector, hash, hashes, hashmap, heap, http, https, idempotent, immutable, index",
    "indices, inheritance, instantiate, integer, integers, interpreter, invariant, iterable",
    "iterator, iterate, json, kernel, kubernetes, lambda, latency, linter, localhost, lookup",
    "memoise, memoize, metadata, middleware, mutable, mutex, namespace, namespaces, node, nodes",
    "npm, null, object oriented, opcode, overhead, parameter, parameters, parser, parse",
    "payload, polymorphism, postgres, predicate, protocol, query, queries, queue, ram",
    "recursion, recursive, refactor, regex, repository, rest api, router, runtime, schema",
    "semaphore, serialize, server, servers, shell, socket, sql, stack frame, stack trace",
    "stderr, stdin, stdout, subclass, subprocess, syntax, tcp, thread, threads, throughput",
    "timestamp, token, tokens, traceback, tuple, url, utf, variable, variables, vector",
    "virtualenv, webhook, xml, yaml, call site, load factor, amortised, amortized, backoff",
    "ancestry, deadlock, sharding, replication, encryption, firewall, vpn, bandwidth, gpu, cpu",
    "cpus, gpus",
)
_MATHEMATICS = (
    "asymptotic, axiom, bayesian, coefficient, coefficients, converge, convergence, correlation",
    "covariance, derivative, derivatives, determinant, differential, distribution",
    "distributions, eigenvalue, eigenvector, entropy, equation, equations, exponent",
    "exponential, factorial, gaussian, gradient, gradients, hypothesis, integral, isomorphic",
    "lemma, linear, logarithm, logarithmic, matrix, matrices, mean squared, median, modulo",
    "multiplicity, nonlinear, numerator, denominator, orthogonal, permutation, polynomial",
    "polynomials, posterior, probability, quadratic, quantile, regression",
    "sampling distribution, scalar, standard deviation, stochastic, subset, tensor, theorem",
    "topology, variance, vertex, vertices, confidence interval, estimator, backpropagation",
    "classifier, embedding, embeddings, epoch, hyperparameter, hyperparameters, inference",
    "neural network, neural networks, overfitting, regularisation, regularization, softmax",
    "supervised, unsupervised, transformer, transformers, reinforcement learning",
)
_SCIENCE = (
    "aerobic, anaerobic, amino, antibody, antibodies, antigen, bacterial, biomarker, catalyst",
    "cardiovascular, chromosome, chronic, clinical, cognitive, cortisol, covalent, diagnosis",
    "dna, dopamine, electron, electrons, electromagnetic, emulsion, enzyme, enzymes",
    "equilibrium, etiology, fermentation, gene, genes, genetic, genome, glucose, hormone",
    "hormones, hypertrophy, immune, inflammation, insulin, ion, ions, isotope, kinetic, lipid",
    "lipids, magnetic, mesocycle, metabolic, metabolism, mitochondria, molecular, molecule",
    "molecules, momentum, neural, neuron, neurons, neurotransmitter, oxidation, oxidative",
    "pathogen, pathology, pathophysiology, peptide, photosynthesis, physiological, placebo",
    "plasma, polymer, prognosis, protein, proteins, proton, quantum, receptor, receptors",
    "relativity, retrieval practice, rna, roux, serotonin, solvent, spectrum, substrate",
    "synapse, syndrome, synthesis, thermodynamic, thermodynamics, velocity, viscosity, voltage",
    "wavelength, torque, torsion, impedance, amplitude, frequency",
)
_SOCIETY = (
    "accrual, aggregate demand, amortise, amortize, amortization, apportionment, arbitrage",
    "asset, assets, bicameral, capital gains, cash flow, collateral, constitutional",
    "depreciation, dividend, dividends, ebitda, elasticity, equity, fiscal, fiduciary, gdp",
    "hedge, indemnity, inflation, itineraries, off peak, judicial, jurisdiction",
    "jurisprudence, keynesian, liability, liabilities, liquidity, litigation, macroeconomic",
    "microeconomic, monetary, monetary policy, mortgage, plaintiff, portfolio, statute",
    "statutory, statutes, subsidy, subsidies, tariff, tariffs, tort, treasury, underwriting",
    "valuation, volatility, working capital, yield, kpi, roi, stakeholder, stakeholders",
    "supply chain, saas, ontology, epistemology, epistemic, hegemony, dialectic",
    "phenomenology, utilitarian, utilitarianism, deontological, hermeneutic, paradigm",
    "socioeconomic, demographic, demographics, geopolitical, neoliberal, secular",
)

TECHNICAL = lexicon(*_COMPUTING, *_MATHEMATICS, *_SCIENCE, *_SOCIETY)
