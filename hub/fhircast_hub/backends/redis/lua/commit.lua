-- Changes a session and publishes what did, if it still is what the caller decided on.
-- KEYS: session, events
-- ARGV: life, revision, milliseconds to keep, payload, how many arguments are fields to set,
--       fields and values, fields to remove
local at = redis.call('HMGET', KEYS[1], 'life', 'revision')
if at[1] ~= ARGV[1] or at[2] ~= ARGV[2] then
  return 0
end
local last = 5 + tonumber(ARGV[5])
for from = 6, last, 1000 do
  redis.call('HSET', KEYS[1], unpack(ARGV, from, math.min(from + 999, last)))
end
for from = last + 1, #ARGV, 1000 do
  redis.call('HDEL', KEYS[1], unpack(ARGV, from, math.min(from + 999, #ARGV)))
end
keep(KEYS[1], ARGV[3])
return tell(KEYS[1], KEYS[2], ARGV[4])
