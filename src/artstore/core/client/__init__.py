"""How one role calls another: token, pool, deadline, retry."""
