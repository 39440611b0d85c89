-- ARGV: id, then eight words for each write: the five of a change, value, demanded
-- version, time to live in microseconds.
-- Answers {'ok', version of each} or {'conflict', name}.
local writes = (#ARGV - 1) / 8
local old = {}
for i = 1, writes do
  local a = 8 * i - 6
  local version = present(KEYS[FIXED + 2 * i - 1], ARGV[a])
  if ARGV[a + 6] ~= '-1' and ARGV[a + 6] ~= version then
    return { 'conflict', ARGV[a] }
  end
  old[i] = version
end
local now = micros()
local answer = { 'ok' }
local last = redis.call('GET', LAST)
for i = 1, writes do
  local a = 8 * i - 6
  local name, kind, member, event = ARGV[a], ARGV[a + 2], ARGV[a + 3], ARGV[a + 4]
  if ARGV[a + 1] == 'set' then
    last = later(last, now)
    redis.call('SET', LAST, last)
    local expires = ARGV[a + 7] ~= '0' and math.ceil((now + ARGV[a + 7]) / 1000)
    write(i, name, kind, member, event, ARGV[a + 5], last, expires, old[i] == '0')
    answer[#answer + 1] = last
  else
    if old[i] ~= '0' then
      remove(i, name, kind, member, event)
    end
    answer[#answer + 1] = '0'
  end
end
return answer
