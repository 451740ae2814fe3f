-- One key signs the cursors of lists; without it no list is served.
SELECT count(*) AS keys
FROM cursor_keys
HAVING count(*) <> 1;
