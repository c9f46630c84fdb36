"""A model of Prometheus: samples in memory, PromQL over them, and the port `Telemetry` on top.

    labels      label sets, one object per set
    regex       RE2 patterns as Python patterns, or a refusal
    store       series of samples, staleness markers, samples that become visible late
    scrape      targets that are scraped, missed, restarted and deleted
    syntax      the tree of an expression, and errors
    vocabulary  operators, aggregations and functions, with their types
    lexer       text to tokens
    parser      tokens to the tree, with the type rules of Prometheus
    ranges      functions of a range vector: increase(), count_over_time() and so on
    arithmetic  operators and functions of numbers, as Go computes them
    matching    binary operators between vectors
    evaluation  one evaluation of an expression over its steps
    functions   functions of an instant vector
    buckets     histogram_quantile()
    compiler    the tree to closures over one store
    engine      instant and range queries
    telemetry   `opsloop.shell.ports.Telemetry` over an engine

`Dialect` says which Prometheus is modelled: 2.53 (both ends of a range count) or 3 (the older end does not).
Everything that is not modelled raises `Unsupported` with its name, so that no answer is silently wrong.
"""
