-- Notes that what is counted was seen now.
-- KEYS: the count
-- ARGV: what it is
for _, it in ipairs(ARGV) do
  redis.call('ZADD', KEYS[1], 'XX', now(), it)
end
return nil
