-- The slot that a queue's row is of, in unix seconds.
ALTER TABLE jobs ADD COLUMN slot INTEGER;
