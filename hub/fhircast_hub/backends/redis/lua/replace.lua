-- Replaces the record of a subscription, if it still is the one that the caller knows.
-- KEYS: session, records, endpoint, events, topics, all records, records of the holder
-- ARGV: tag, endpoint, known record with its place, new record, milliseconds until it
--       expires, payload, holder ('' for none), milliseconds to keep the record, and the session
if redis.call('HGET', KEYS[2], ARGV[2]) ~= ARGV[3] or redis.call('EXISTS', KEYS[1]) == 0 then
  return 0
end
local expires = now() + ARGV[5]
local place = string.match(ARGV[3], '^%d+')
redis.call('HSET', KEYS[2], ARGV[2], place .. ' ' .. ARGV[4])
redis.call('SET', KEYS[3], ARGV[1], 'PX', ARGV[8])
redis.call('ZADD', KEYS[6], expires, ARGV[1] .. ' ' .. ARGV[2])
if ARGV[7] ~= '' then
  redis.call('ZADD', KEYS[7], expires, ARGV[2])
  keep(KEYS[7], ARGV[8])
end
keep(KEYS[1], ARGV[9])
keep(KEYS[2], ARGV[9])
keep(KEYS[5], ARGV[9])
keep(KEYS[6], ARGV[9])
return tell(KEYS[1], KEYS[4], ARGV[6])
