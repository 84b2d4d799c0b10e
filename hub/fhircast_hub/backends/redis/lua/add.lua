-- Keeps a new subscription, unless its session is gone or a limit is reached.
-- KEYS: session, records, endpoint, topics, all records, records of the holder
-- ARGV: tag, endpoint, record, milliseconds until it expires, holder ('' for none), most records of
--       the topic, most of a holder (0: any), milliseconds to keep the record, and the session
local expires = now() + ARGV[4]
if redis.call('EXISTS', KEYS[1]) == 0 then
  return 'gone'
end
if redis.call('HLEN', KEYS[2]) >= tonumber(ARGV[6]) then
  return 'records'
end
if ARGV[5] ~= '' then
  local most = tonumber(ARGV[7])
  if most > 0 and redis.call('ZCARD', KEYS[6]) >= most then
    return 'records of holder'
  end
  redis.call('ZADD', KEYS[6], expires, ARGV[2])
  keep(KEYS[6], ARGV[8])
end
local place = redis.call('HINCRBY', KEYS[1], 'added', 1)
redis.call('HSET', KEYS[2], ARGV[2], place .. ' ' .. ARGV[3])
redis.call('SET', KEYS[3], ARGV[1], 'PX', ARGV[8])
redis.call('ZADD', KEYS[4], 'inf', ARGV[1])
redis.call('ZADD', KEYS[5], expires, ARGV[1] .. ' ' .. ARGV[2])
keep(KEYS[1], ARGV[9])
keep(KEYS[2], ARGV[9])
keep(KEYS[4], ARGV[9])
keep(KEYS[5], ARGV[9])
return 'added'
