-- Replaces the record of a subscription, if it still is the one that the caller knows.
-- KEYS: session, records, events, topics, all records, held
-- ARGV: tag, endpoint, known record with its place, new record, milliseconds until it expires,
--       payload, milliseconds to keep the session, and for which who joins holds it (0: no join)
if redis.call('HGET', KEYS[2], ARGV[2]) ~= ARGV[3] or redis.call('EXISTS', KEYS[1]) == 0 then
  return 0
end
local place = string.match(ARGV[3], '^%d+')
redis.call('HSET', KEYS[2], ARGV[2], place .. ' ' .. ARGV[4])
redis.call('ZADD', KEYS[5], now() + ARGV[5], ARGV[1] .. ' ' .. ARGV[2])
if ARGV[8] ~= '0' then
  redis.call('ZADD', KEYS[6], now() + ARGV[8], ARGV[1] .. ' ' .. ARGV[2])
end
for _, at in ipairs({1, 2, 4, 5, 6}) do
  keep(KEYS[at], ARGV[7])
end
return tell(KEYS[1], KEYS[3], ARGV[6])
