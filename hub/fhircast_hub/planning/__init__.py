"""How large a hub a site needs: a model of its cost, and a simulation of its peaks.

Values in, values out; chance comes from a seed. `docs/scaling.md` tells the formulas.
"""
