"""The page: the same engine with hands on it."""
