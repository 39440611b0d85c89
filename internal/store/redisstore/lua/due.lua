-- KEYS: id, expiry
-- ARGV: id, how many at most
-- Answers the names of keys that have expired.
local now = string.format('%.0f', math.floor(micros() / 1000))
return redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now, 'LIMIT', 0, ARGV[2])
