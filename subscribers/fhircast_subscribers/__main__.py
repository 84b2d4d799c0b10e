"""`python -m fhircast_subscribers`: a headless subscriber that prints what it shows."""

from fhircast_subscribers.cli import main

if __name__ == "__main__":
    main()
