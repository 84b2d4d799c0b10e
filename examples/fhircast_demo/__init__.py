"""The demo: EHR, images, pages and the launcher."""
