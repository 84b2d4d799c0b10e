-- Stands before each of the other scripts.

-- Lets a key live at least this long from now.
local function keep(key, ms)
  if redis.call('PTTL', key) < tonumber(ms) then
    redis.call('PEXPIRE', key, ms)
  end
end

-- Milliseconds since 1970 by the server's clock: the only one that all processes share.
local function now()
  local at = redis.call('TIME')
  return at[1] * 1000 + math.floor(at[2] / 1000)
end

-- Publishes under the next number of the topic; whoever misses a number knows that something is
-- missing. The life tells a session from one that had the same topic before.
local function tell(session, channel, payload)
  local life = redis.call('HGET', session, 'life')
  local number = redis.call('HINCRBY', session, 'number', 1)
  redis.call('PUBLISH', channel, life .. ' ' .. number .. ' ' .. payload)
  return number
end
