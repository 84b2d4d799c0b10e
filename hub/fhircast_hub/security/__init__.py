"""Who may do what: bearer tokens become grants."""
