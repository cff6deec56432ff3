-- Leases. State: of each lease its id, when it ends, and its units; the first to end first. Ids are 64 bits, so they
-- stay text.
-- Numbers: the limit, the time to live, the id.
rules.c = function(what, words, now, cost, limit, ttl, _, _, id)
  local kept, held, ends, own = {}, 0, now + ttl, what == 'refund' or cost > 0
  for at = 1, #(words or {}), 3 do
    local lease = {words[at], tonumber(words[at + 1]), tonumber(words[at + 2])}
    if lease[2] > now then
      if lease[1] ~= id then
        held = held + lease[3]
        kept[#kept + 1] = lease
      elseif own then
        -- A clock that stepped back shortens no lease.
        ends = math.max(ends, lease[2])
      else
        kept[#kept + 1] = lease
      end
    end
  end
  if what ~= 'refund' then
    if held + cost > limit then return end
    if own then
      local place = #kept + 1
      while place > 1 and kept[place - 1][2] > ends do place = place - 1 end
      table.insert(kept, place, {id, ends, cost})
    end
  end
  local expires, parts = 0, {}
  for _, lease in ipairs(kept) do
    parts[#parts + 1] = lease[1] .. ' ' .. text(lease[2]) .. ' ' .. text(lease[3])
    expires = lease[2]
  end
  return table.concat(parts, ' '), expires
end
