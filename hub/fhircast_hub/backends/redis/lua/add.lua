-- Keeps a new subscription, unless its session is gone or has as many as it may.
-- KEYS: session, records, topics, all records
-- ARGV: tag, endpoint, record, milliseconds until it expires, most records of the topic,
--       milliseconds to keep the session
if redis.call('EXISTS', KEYS[1]) == 0 then
  return 'gone'
end
if redis.call('HLEN', KEYS[2]) >= tonumber(ARGV[5]) then
  return 'records'
end
local place = redis.call('HINCRBY', KEYS[1], 'added', 1)
redis.call('HSET', KEYS[2], ARGV[2], place .. ' ' .. ARGV[3])
redis.call('ZADD', KEYS[3], 'inf', ARGV[1])
redis.call('ZADD', KEYS[4], now() + ARGV[4], ARGV[1] .. ' ' .. ARGV[2])
for _, key in ipairs(KEYS) do
  keep(key, ARGV[6])
end
return 'added'
