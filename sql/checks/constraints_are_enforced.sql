-- No constraint stands unvalidated, no index is invalid and no trigger of ours is switched off.
SELECT
    conname::text AS fault,
    'constraint not validated' AS reason
FROM pg_constraint
WHERE connamespace = current_schema()::regnamespace AND NOT convalidated
UNION ALL
SELECT
    i.indexrelid::regclass::text AS fault,
    'index not valid' AS reason
FROM pg_index AS i
INNER JOIN pg_class AS c ON i.indexrelid = c.oid
WHERE c.relnamespace = current_schema()::regnamespace AND NOT i.indisvalid
UNION ALL
SELECT
    t.tgname::text AS fault,
    'trigger switched off' AS reason
FROM pg_trigger AS t
INNER JOIN pg_class AS c ON t.tgrelid = c.oid
WHERE c.relnamespace = current_schema()::regnamespace AND t.tgenabled <> 'O'
ORDER BY fault, reason;
