-- The token bucket that is refilled in steps. State: when the interval began, the tokens.
-- Numbers: the capacity, the refill, the interval.
rules.i = function(what, words, now, cost, capacity, refill, interval)
  local began, tokens = now, capacity
  if words then began, tokens = tonumber(words[1]), math.min(tonumber(words[2]), capacity) end
  if now >= began + interval then
    local passed = now - began - math.fmod(now - began, interval)
    began, tokens = began + passed, math.min(tokens + passed / interval * refill, capacity)
  end
  if what == 'refund' then
    tokens = math.min(tokens + cost, capacity)
  else
    if cost > tokens then return end
    tokens = tokens - cost
  end
  local expires = 0
  if tokens < capacity then expires = began + math.ceil((capacity - tokens) / refill) * interval end
  return text(began) .. ' ' .. text(tokens), expires
end
