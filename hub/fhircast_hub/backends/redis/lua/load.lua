-- Returns all fields of a session; nothing if there is none, 1 if it is what the caller has.
-- KEYS: session
-- ARGV: life and revision that the caller has
local at = redis.call('HMGET', KEYS[1], 'life', 'revision')
if not at[1] then
  return nil
end
if at[1] == ARGV[1] and at[2] == ARGV[2] then
  return 1
end
return redis.call('HGETALL', KEYS[1])
