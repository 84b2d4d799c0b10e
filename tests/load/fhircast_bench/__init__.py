"""A load generator for any FHIRcast hub: `fhircast bench`.

It knows the public wire and nothing of this project, so what it counts is what applications get.
"""
