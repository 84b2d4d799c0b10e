-- Returns what is counted and was not seen for some time.
-- KEYS: the count
-- ARGV: that time in milliseconds, most
return redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now() - ARGV[1], 'LIMIT', 0, ARGV[2])
