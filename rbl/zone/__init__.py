"""A list as pure data: zone files, the index of what is listed, and its form on disk."""
