"""The audit trail: who was allowed or refused what, and who changed what, so that touching it shows."""
