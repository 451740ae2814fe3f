-- Those of 0011 and 0012 stand in for these. A file of their own: whoever reads a table holds up that its
-- indexes go, and would hold it up with new ones built and every writer waiting.
DROP INDEX bookings_slot_id_status_created_at_id_user_id_idx;
DROP INDEX slots_status_start_time_id_idx;
