-- Forgets a subscription and publishes its end; nothing if it is not over, 0 if it was not there.
-- KEYS: session, records, events, topics, all records, held
-- ARGV: tag, endpoint, payload, condition: 'expired', 'lost' (held by nobody), the record with its
--       place, or '' for none
local member = ARGV[1] .. ' ' .. ARGV[2]
if ARGV[4] == 'expired' or ARGV[4] == 'lost' then
  local at = redis.call('ZSCORE', ARGV[4] == 'lost' and KEYS[6] or KEYS[5], member)
  if not at or tonumber(at) > now() then
    return nil
  end
elseif ARGV[4] ~= '' and redis.call('HGET', KEYS[2], ARGV[2]) ~= ARGV[4] then
  return nil
end
redis.call('ZREM', KEYS[5], member)
redis.call('ZREM', KEYS[6], member)
local was_there = redis.call('HDEL', KEYS[2], ARGV[2])
if redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('ZREM', KEYS[4], ARGV[1])
  return 0
end
if redis.call('HLEN', KEYS[2]) == 0 then
  redis.call('ZADD', KEYS[4], 'XX', now(), ARGV[1])
end
if was_there == 0 then
  return 0
end
return tell(KEYS[1], KEYS[3], ARGV[3])
