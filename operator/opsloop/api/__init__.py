"""The four kinds of `opsloop.dev/v1alpha1` as models: the only place where a field is named."""
