-- The key that signs list cursors. It lives here so that every server of this database, now and
-- after a restart, takes the cursors that another one made. It guards against mistakes, not secrets.
CREATE TABLE cursor_keys (
    id boolean NOT NULL DEFAULT true,
    secret bytea NOT NULL,
    CONSTRAINT cursor_keys_id_pk PRIMARY KEY (id),
    CONSTRAINT cursor_keys_id_ck CHECK (id),
    CONSTRAINT cursor_keys_secret_ck CHECK (octet_length(secret) = 32)
);

-- gen_random_uuid() draws on the server's cryptographic random source.
INSERT INTO cursor_keys (secret)
VALUES (sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())));
