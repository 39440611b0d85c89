-- KEYS: id, versions, then the keys that are read
-- ARGV: id, then their names
-- Answers value (false: absent), version and expiry in ms (-1: never) of each.
local answer = {}
for i = 3, #KEYS do
  local value = redis.pcall('GET', KEYS[i])
  if type(value) ~= 'string' then
    value = false
  end
  answer[#answer + 1] = value
  answer[#answer + 1] = value and (redis.call('HGET', KEYS[2], ARGV[i - 1]) or '1')
  answer[#answer + 1] = value and redis.call('PEXPIRETIME', KEYS[i])
end
return answer
