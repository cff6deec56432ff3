-- GCRA, exact to the nanosecond: the state and all durations are pairs of microseconds and nanoseconds below 1000.
-- Numbers: what the cost is worth, and how much may be owed before it, both as pairs.
rules.g = function(what, words, now, _, cost_us, cost_ns, room_us, room_ns)
  local us, ns = 0, 0
  if words then
    us, ns = tonumber(words[1]) - now, tonumber(words[2])
    if us < 0 then us, ns = 0, 0 end
  end
  if what == 'refund' then
    us, ns = us - cost_us, ns - cost_ns
    if ns < 0 then us, ns = us - 1, ns + 1000 end
    if us < 0 then us, ns = 0, 0 end
  else
    if us > room_us or (us == room_us and ns > room_ns) then return end
    us, ns = us + cost_us, ns + cost_ns
    if ns >= 1000 then us, ns = us + 1, ns - 1000 end
  end
  return text(now + us) .. ' ' .. text(ns), now + us + (ns > 0 and 1 or 0)
end
