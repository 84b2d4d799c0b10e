"""The core of the hub: the rules of FHIRcast 3.0.0 as values in and values out.

Whoever wraps this package keeps four promises:

1. Bytes from outside go through `messages` or `subscription` first; what they return is valid.
2. `judging.decide` is called with the newest `Session` of the topic, and its `Decision` is kept and
   published in one atomic step, or not at all.
3. Every `Channel` has one owner, which feeds it what the socket does and writes what it returns.
4. Times, ids and version ids come in as arguments: nothing here reads a clock, draws a random
   number, waits, logs or opens anything.

Where to look: `errors` (the tree), `events` (names and catalogue), `messages` (wire forms; how they
are read is in `parsing`, `notification` and `responses`), `scopes` (rights), `session` (one topic)
and `remembered` (its last events), `judging` (`decide`), `views` (what a session shows), `content`
(updates Bundles), `links` (identifiers that must not change), `subscription` (the record),
`delivery` (what each subscriber gets), `channel_state`, `channel` and `unanswered` (one WebSocket),
`syncerror`.
"""
