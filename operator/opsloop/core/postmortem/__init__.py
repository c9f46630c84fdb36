"""The postmortem: a Markdown document made from an Incident."""
