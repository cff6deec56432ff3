-- The sliding window counter. State: end of the current window, its units, the units of the window before.
-- Numbers: the limit, the window.
rules.s = function(what, words, now, cost, limit, window)
  local finish, current, previous
  if words then finish, current, previous = tonumber(words[1]), tonumber(words[2]), tonumber(words[3]) end
  if not finish or now >= finish + window then
    finish, current, previous = next_multiple(now, window), 0, 0
  elseif now >= finish then
    finish, current, previous = finish + window, 0, current
  end
  if what == 'refund' then
    local of_previous = math.max(cost - current, 0)
    current, previous = math.max(current - cost, 0), math.max(previous - of_previous, 0)
  else
    local room = limit - cost - current
    local rest = math.min(finish - now, window)
    if room < 0 or not product_at_most(previous, rest, room, window) then return end
    current = current + cost
  end
  local expires = 0
  if current > 0 then expires = finish + window elseif previous > 0 then expires = finish end
  return text(finish) .. ' ' .. text(current) .. ' ' .. text(previous), expires
end
