-- Makes a session unless there is one, or a limit is reached.
-- KEYS: session, topics, topics of the holder, records of the holder
-- ARGV: tag, life, format, version, holder ('' for none),
--       most topics, most topics of a holder, most records of a holder (0: any), milliseconds to keep
--       the session, and what the holder made
if redis.call('EXISTS', KEYS[1]) == 1 then
  return 'known'
end
if redis.call('ZCARD', KEYS[2]) >= tonumber(ARGV[6]) then
  return 'topics'
end
if ARGV[5] ~= '' then
  local topics, records = tonumber(ARGV[7]), tonumber(ARGV[8])
  if topics > 0 and redis.call('ZCARD', KEYS[3]) >= topics then
    return 'topics of holder'
  end
  if records > 0 and redis.call('ZCARD', KEYS[4]) >= records then
    return 'records of holder'
  end
  redis.call('ZADD', KEYS[3], 0, ARGV[1])
  keep(KEYS[3], ARGV[10])
end
redis.call('HSET', KEYS[1], 'life', ARGV[2], 'format', ARGV[3], 'version', ARGV[4],
  'holder', ARGV[5], 'revision', 0, 'number', 0, 'added', 0)
redis.call('ZADD', KEYS[2], now(), ARGV[1])
keep(KEYS[1], ARGV[9])
keep(KEYS[2], ARGV[9])
return 'made'
