-- KEYS: id, the log's notes, stream, times, appended
-- ARGV: id, log, the block's hour, the hour of the stream in KEYS, first, last
-- (nanoseconds in 19 digits), last in ms, length of time in ms, checksum, data,
-- time to live in ms (0: none), 1 to look whether it is there already
-- Answers {'ok', sequence} or {'hour', the hour to use}.
local now = micros()
local hour = math.min(tonumber(ARGV[3]), math.floor(now / 3600000000) + 1)
hour = math.max(hour, tonumber(redis.call('HGET', KEYS[2], 'hour')) or 0)
if hour ~= tonumber(ARGV[4]) then
  return { 'hour', string.format('%.0f', hour) }
end
local first, last, data = ARGV[5], ARGV[6], ARGV[10]
local rest = ' ' .. first .. ' ' .. last .. ' ' .. #data .. ' ' .. ARGV[9]
if ARGV[12] == '1' then
  for _, member in ipairs(redis.call('ZRANGEBYSCORE', KEYS[4], ARGV[7], ARGV[7])) do
    if string.sub(member, 17) == rest then
      return { 'ok', string.sub(member, 1, 16) }
    end
  end
end
local sequence = later(redis.call('HGET', KEYS[2], 'seq'), now)
redis.call('HSET', KEYS[2], 'seq', sequence, 'hour', string.format('%.0f', hour))
redis.call('XADD', KEYS[3], sequence .. '-0', 'first', first, 'last', last, 'crc', ARGV[9], 'data', data)
redis.call('ZADD', KEYS[4], ARGV[7], sequence .. rest)
local field = 'h' .. ARGV[4]
local blocks, bytes, oldest, newest, span = string.match(redis.call('HGET', KEYS[2], field) or '', '^(%d+) (%d+) (%d+) (%d+) (%d+)$')
if not blocks then
  blocks, bytes, oldest, newest, span = 0, 0, first, last, 0
end
if first < oldest then oldest = first end
if last > newest then newest = last end
span = math.max(tonumber(span), tonumber(ARGV[8]))
redis.call('HSET', KEYS[2], field, string.format('%.0f %.0f %s %s %.0f', blocks + 1, bytes + #data, oldest, newest, span))
if ARGV[11] ~= '0' then
  redis.call('PEXPIRE', KEYS[3], ARGV[11])
  redis.call('PEXPIRE', KEYS[4], ARGV[11])
end
redis.call('XADD', KEYS[5], 'MAXLEN', '~', 1000, '*', 'log', ARGV[2], 'hour', ARGV[4], 'seq', sequence)
return { 'ok', sequence }
