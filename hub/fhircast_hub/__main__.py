"""`python -m fhircast_hub` is the command `fhircast`."""

from fhircast_hub.cli.main import main

if __name__ == "__main__":
    main()
