-- The sliding log. State: when each unit was spent, oldest first.
-- Numbers: the limit, the window.
rules.l = function(what, words, now, cost, limit, window)
  local live = {}
  for _, word in ipairs(words or {}) do
    if tonumber(word) + window > now then live[#live + 1] = word end
  end
  if what == 'refund' then
    for _ = 1, math.min(cost, #live) do live[#live] = nil end
  else
    if #live + cost > limit then return end
    local time = text(math.max(now, tonumber(live[#live] or 0)))
    for _ = 1, cost do live[#live + 1] = time end
  end
  local expires = 0
  if #live > 0 then expires = tonumber(live[#live]) + window end
  return table.concat(live, ' '), expires
end
