-- Counts something, unless there are as many as there may be.
-- KEYS: the count
-- ARGV: what it is, most, milliseconds to keep the count
if not redis.call('ZSCORE', KEYS[1], ARGV[1])
    and redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[2]) then
  return 0
end
redis.call('ZADD', KEYS[1], now(), ARGV[1])
keep(KEYS[1], ARGV[3])
return 1
