-- Makes a session unless there is one; that there may be one more was seen to before.
-- KEYS: session, topics
-- ARGV: tag, life, format, version, holder ('' for none), milliseconds to keep the session
if redis.call('EXISTS', KEYS[1]) == 1 then
  return redis.call('HGET', KEYS[1], 'holder')
end
redis.call('HSET', KEYS[1], 'life', ARGV[2], 'format', ARGV[3], 'version', ARGV[4],
  'holder', ARGV[5], 'revision', 0, 'number', 0, 'added', 0)
redis.call('ZADD', KEYS[2], now(), ARGV[1])
keep(KEYS[1], ARGV[6])
keep(KEYS[2], ARGV[6])
return nil
