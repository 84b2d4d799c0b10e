"""Faults of one kind each, on real hubs and a real Redis; `torture` mixes them."""
