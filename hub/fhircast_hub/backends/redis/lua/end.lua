-- Forgets a subscription and publishes its end.
-- KEYS: session, records, endpoint, events, topics, all records, records of the holder
-- ARGV: tag, endpoint, payload, 1 if only an expired one
local member = ARGV[1] .. ' ' .. ARGV[2]
if ARGV[4] == '1' then
  local expires = redis.call('ZSCORE', KEYS[6], member)
  if not expires or tonumber(expires) > now() then
    return 0
  end
end
redis.call('ZREM', KEYS[6], member)
redis.call('ZREM', KEYS[7], ARGV[2])
redis.call('DEL', KEYS[3])
local was_there = redis.call('HDEL', KEYS[2], ARGV[2])
if redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('ZREM', KEYS[5], ARGV[1])
  return 0
end
if redis.call('HLEN', KEYS[2]) == 0 then
  redis.call('ZADD', KEYS[5], 'XX', now(), ARGV[1])
end
if was_there == 0 then
  return 0
end
return tell(KEYS[1], KEYS[4], ARGV[3])
