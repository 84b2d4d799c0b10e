"""A torture of several hubs over one Redis: faults on purpose, and a proof afterwards."""
