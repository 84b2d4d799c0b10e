-- Returns the subscriptions of a bucket that are over, and its topics without any for long enough.
-- KEYS: topics, all records
-- ARGV: now, since when topics are without, most of each
return {
  redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', ARGV[1], 'LIMIT', 0, ARGV[3]),
  redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[2], 'LIMIT', 0, ARGV[3])
}
