-- ARGV: id, then the five words of one change
-- Answers {} or {value, version, expiry in ms (-1: never)}.
local key = KEYS[FIXED + 1]
local value = redis.pcall('GET', key)
if type(value) ~= 'string' then
  return {}
end
local answer = { value, redis.call('HGET', VERSIONS, ARGV[2]) or '1', redis.call('PEXPIRETIME', key) }
remove(1, ARGV[2], ARGV[4], ARGV[5], ARGV[6])
return answer
