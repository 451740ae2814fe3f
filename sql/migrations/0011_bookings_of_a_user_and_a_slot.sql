-- A user's seats of a slot are added up under the slot's lock where it has a limit per user, and a user
-- may have very many bookings of other slots, as the slot may have of other users (docs/decisions/0013).
CREATE INDEX bookings_slot_id_user_id_status_created_at_id_idx
ON bookings (slot_id, user_id, status, created_at, id);

-- The user need not stand at the end of this one any more.
CREATE INDEX bookings_slot_id_status_created_at_id_idx
ON bookings (slot_id, status, created_at, id);
