-- Notes that subscriptions are held, of those that were connected and have not ended.
-- KEYS: held
-- ARGV: for how many milliseconds, the subscriptions
for at = 2, #ARGV do
  redis.call('ZADD', KEYS[1], 'XX', now() + ARGV[1], ARGV[at])
end
return nil
