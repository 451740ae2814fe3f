-- Builds requests as text: wrk.format does the same from tables, at several times the cost.

local requests = {}

local PREFIX = "00000000-0000-7000-8000-"

function requests.id(number)
    return PREFIX .. string.format("%012d", number)
end

function requests.get(path)
    return "GET " .. path .. " HTTP/1.1\r\nHost: " .. wrk.headers["Host"] .. "\r\n\r\n"
end

function requests.post(path, key, body)
    return "POST " .. path .. " HTTP/1.1\r\nHost: " .. wrk.headers["Host"]
        .. "\r\nContent-Type: application/json\r\nIdempotency-Key: " .. key
        .. "\r\nContent-Length: " .. #body .. "\r\n\r\n" .. body
end

function requests.booking(path, slot, user, hold)
    return requests.post(path, user, '{"slot_id":"' .. requests.id(slot) .. '","user_id":"' .. user
        .. '","num_seats":1' .. (hold and ',"hold":true' or "") .. "}")
end

return requests
