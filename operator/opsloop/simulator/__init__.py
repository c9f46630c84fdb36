"""A shop in fake time, for `opsloop simulate`, `make sim` and tests: the whole operator runs in it, against no cluster.

    loop        an event loop whose time leaps
    traffic     requests and errors of users, as pure functions
    service     versions, pods' counters, and who is to blame for a bad request
    kube        Deployments, ReplicaSets and pods in memory
    fakes       the ports of `opsloop.shell.ports` in memory
    prometheus  a model of Prometheus that answers the PromQL the operator sends
    scraping    what that Prometheus scrapes; history: what it scraped before
    alerting    the alerts that every team has
    world       all of these, step by step
    process     the operator beside a world; replicas: one leads, is killed, or loses the Lease
    weather     what happens in one episode; kinds: the kinds of it; harsh: those in which the platform is in trouble
    episode     one weather lived through, with the operator or a judge
    record      what was done; rest: what was not at rest afterwards
    burn        when a burn-rate rule fires, in closed form
    mechanics   canaries and rollbacks for a judge; judges: one that knows all, and toys
    figures     what an episode adds to the table; campaign: many episodes

Production code does not import it; only `opsloop simulate` does, when it is called.
"""
