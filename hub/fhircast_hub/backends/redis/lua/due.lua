-- Returns the subscriptions of a bucket that are over, its topics without any for long enough, and
-- the subscriptions that nobody holds.
-- KEYS: topics, all records, held
-- ARGV: milliseconds for which topics may be without, most of each
local at = now()
return {
  redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', at, 'LIMIT', 0, ARGV[2]),
  redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', at - ARGV[1], 'LIMIT', 0, ARGV[2]),
  redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', at, 'LIMIT', 0, ARGV[2])
}
