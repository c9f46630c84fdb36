"""A shop in fake time, for `opsloop simulate` and for tests: the whole operator runs in it, against no cluster.

    traffic     requests and errors of users, as pure functions
    fakes       the ports of `opsloop.shell.ports` in memory
    prometheus  a model of Prometheus that answers the PromQL the operator sends

Production code does not import it; only `opsloop simulate` does, when it is called.
"""
