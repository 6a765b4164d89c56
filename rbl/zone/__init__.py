"""A list as pure data: zone files, the index of what is listed, its form on disk. No SQL, clock or sockets."""
