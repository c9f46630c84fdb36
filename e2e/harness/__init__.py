"""The parts that drill, stories and bench share: the cluster's API, what was recorded, the SLI's history, progress."""
