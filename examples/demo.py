"""The demo, started as a script: the same as `fhircast demo`."""

from fhircast_demo.cli import demo

if __name__ == "__main__":
    demo()
