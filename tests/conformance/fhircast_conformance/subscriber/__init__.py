"""A kit that judges any FHIRcast subscriber: a hub played on purpose, with faults on demand.

    async with PlayedHub(profile="ira") as hub:
        run = await run_scenarios(hub, application)

Where to look: `played` (the hub and its faults), `scenarios` (what is played), `watch` and `judges`
(what is judged whenever the application does something), `application` (who starts it and works at
it), `run`, `cli`.
"""

from fhircast_conformance.subscriber.application import ACTIONS, Application
from fhircast_conformance.subscriber.played import PlayedHub
from fhircast_conformance.subscriber.run import run_scenarios
from fhircast_conformance.subscriber.waits import Waits

__all__ = ["ACTIONS", "Application", "PlayedHub", "Waits", "run_scenarios"]
