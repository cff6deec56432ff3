-- Several limits on one request: all are charged, or none is.
-- ARGV: what to do ("spend", "peek" or "refund"), now ("" for the clock of this server), then for each key its rule,
-- the cost, and four numbers; the fourth of leases is an id.
-- Returns whether there was room ("1" or "0"), now, and the state of each key as it was ("" for none).
local what, now, is_check = ARGV[1], tonumber(ARGV[2]), true
if not now then
  is_check = false
  local time = redis.call('TIME')
  now = tonumber(time[1]) * 1000000 + tonumber(time[2])
end

local reply, writes = {'1', text(now)}, {}
for number, key in ipairs(KEYS) do
  local at = 6 * number - 4
  local rule, stored, words = ARGV[at + 1], redis.call('GET', key), nil
  -- A state of another rule is no state.
  if stored and string.sub(stored, 1, 2) == rule .. ' ' then
    words = {}
    for word in string.gmatch(string.sub(stored, 3), '%S+') do words[#words + 1] = word end
  end
  reply[number + 2] = words and stored or ''
  local state, expires = rules[rule](
    what, words, now, tonumber(ARGV[at + 2]),
    tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4]), tonumber(ARGV[at + 5]), tonumber(ARGV[at + 6]), ARGV[at + 6]
  )
  if state then
    writes[number] = {rule .. ' ' .. state, expires}
  else
    reply[1] = '0'
  end
end

if what ~= 'peek' and reply[1] == '1' then
  for number, key in ipairs(KEYS) do
    local state, expires = writes[number][1], writes[number][2]
    if expires <= now then
      redis.call('DEL', key)
    elseif is_check then
      -- A given time does not pass by itself, so the states of a check are kept for an hour of this server's.
      redis.call('SET', key, state, 'PX', '3600000')
    else
      redis.call('SET', key, state, 'PXAT', text(math.ceil(expires / 1000)))
    end
  end
end
return reply
