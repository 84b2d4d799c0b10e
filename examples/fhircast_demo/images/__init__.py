"""The demo's image source: DICOMweb over retagged sample images."""

from __future__ import annotations

from fhircast_demo.images.dicomweb import dicomweb_app, dicomweb_routes
from fhircast_demo.images.errors import ImageError
from fhircast_demo.images.library import Library

__all__ = ["ImageError", "Library", "dicomweb_app", "dicomweb_routes"]
