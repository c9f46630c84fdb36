"""SLIs and SLOs: PromQL, burn rate tiers, and the verdict on a reading."""
