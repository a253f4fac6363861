"""TLS: one factory for every context, measured, and made anew when certificates change."""
