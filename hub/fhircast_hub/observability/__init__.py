"""What the hub tells its operator."""
