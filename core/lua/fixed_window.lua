-- The end of the month that holds a local time: the days of the Gregorian calendar, years counted from March.
local function month_end(time)
  local day_us = 86400000000
  local days = math.floor(time / day_us) + 719468
  local era = math.floor(days / 146097)
  local of_era = days - era * 146097
  local year = math.floor(
    (of_era - math.floor(of_era / 1460) + math.floor(of_era / 36524) - math.floor(of_era / 146096)) / 365
  )
  local of_year = of_era - (365 * year + math.floor(year / 4) - math.floor(year / 100))
  -- Months from March: the next one starts on this day of a year that began in March, or the next year does.
  local next_month = math.floor((5 * of_year + 2) / 153) + 1
  local first
  if next_month == 12 then
    year = year + 1
    first = 365 * year + math.floor(year / 4) - math.floor(year / 100) + math.floor(year / 400)
  else
    first = 365 * year + math.floor(year / 4) - math.floor(year / 100) + math.floor((153 * next_month + 2) / 5)
  end
  return (era * 146097 + first - 719468) * day_us
end

-- The fixed window. State: end of the window, its units.
-- Numbers: the limit, the window (0: months), how far ahead its clock is.
rules.f = function(what, words, now, cost, limit, window, ahead)
  local finish, used
  if words then finish, used = tonumber(words[1]), tonumber(words[2]) end
  if not finish or now >= finish then
    local ending = month_end
    if window > 0 then ending = function(time) return next_multiple(time, window) end end
    finish, used = ending(now + ahead) - ahead, 0
  end
  if what == 'refund' then
    used = math.max(used - cost, 0)
  else
    if used + cost > limit then return end
    used = used + cost
  end
  return text(finish) .. ' ' .. text(used), used > 0 and finish or 0
end
