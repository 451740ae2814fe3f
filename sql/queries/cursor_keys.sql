-- name: get_cursor_key()$
-- The secret, 32 bytes, that signs list cursors.
SELECT secret
FROM cursor_keys;
