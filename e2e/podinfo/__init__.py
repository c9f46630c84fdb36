"""podinfo, a service that nobody here wrote: its Deployment as its users have it, visitors, and what a team writes for opsloop."""
