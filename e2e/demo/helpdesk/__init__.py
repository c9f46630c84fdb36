"""A shop's help desk: `web` asks `answers`, which looks into `catalog`; `shoppers` ask and judge."""
