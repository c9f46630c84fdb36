"""The four kinds of `opsloop.dev/v1alpha1` as pydantic models; crds/ is generated from them."""
