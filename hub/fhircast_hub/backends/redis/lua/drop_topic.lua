-- Forgets a session that nobody was subscribed to for some time.
-- KEYS: session, records, topics
-- ARGV: tag, that time in milliseconds
local since = redis.call('ZSCORE', KEYS[3], ARGV[1])
if not since or tonumber(since) > now() - ARGV[2] or redis.call('HLEN', KEYS[2]) > 0 then
  return 0
end
redis.call('DEL', KEYS[1], KEYS[2])
redis.call('ZREM', KEYS[3], ARGV[1])
return 1
