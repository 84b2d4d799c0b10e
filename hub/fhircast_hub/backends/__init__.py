"""Where sessions and subscriptions are kept, and how what was committed spreads."""
