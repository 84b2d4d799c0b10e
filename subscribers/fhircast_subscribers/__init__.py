"""FHIRcast subscribers."""
