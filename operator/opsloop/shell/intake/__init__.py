"""The durable inbox, and the ledgers and ticket queues that its content is filed in."""
