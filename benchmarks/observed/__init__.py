"""A directory for the search path of processes that are to time their own metrics."""
