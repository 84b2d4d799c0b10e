"""The command `fhircast`: one verb each for running a hub and for looking into one."""
