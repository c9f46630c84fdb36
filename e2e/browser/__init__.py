"""A headless Chromium for stories, with axe-core, fetched by the project's own files into our cache; it needs npm and no root."""
