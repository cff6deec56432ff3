-- Numbers are doubles here, exact up to 2^53. Times are whole microseconds since 1970, which stay below 2^53 until
-- the year 2255; what does not fit is split.

local function text(number)
  return string.format('%.0f', number)
end

-- The first multiple of width after time. fmod is exact where a rounded quotient may not be.
local function next_multiple(time, width)
  return time - math.fmod(time, width) + width
end

-- count * time in three digits of base 2^16, the top one larger: count < 2^32, time < 2^45.
local function product(count, time)
  local low = math.fmod(time, 65536)
  local rest = (time - low) / 65536
  local middle = math.fmod(rest, 65536)
  local high = (rest - middle) / 65536
  local p0 = count * low
  local d0 = math.fmod(p0, 65536)
  local p1 = count * middle + (p0 - d0) / 65536
  local d1 = math.fmod(p1, 65536)
  return count * high + (p1 - d1) / 65536, d1, d0
end

-- Whether a * x <= b * y, exactly.
local function product_at_most(a, x, b, y)
  local a2, a1, a0 = product(a, x)
  local b2, b1, b0 = product(b, y)
  if a2 ~= b2 then return a2 < b2 end
  if a1 ~= b1 then return a1 < b1 end
  return a0 <= b0
end

-- Each rule is a function of what to do, the words of the stored state (nil: none), now, the cost and four numbers.
-- It returns the state to keep and when that is worth nothing any more, or nothing where the cost has no room.
local rules = {}
