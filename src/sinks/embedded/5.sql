-- Every backup that was ever seen on a node, also when it is gone. The time is in unix seconds; the path lies below the root of
-- the hub. The seal says what was known of the content: sealed, unsealed, truncated, digest, imported.
CREATE TABLE backup (
    hub TEXT NOT NULL,
    node TEXT NOT NULL,
    name TEXT NOT NULL,
    time INTEGER NOT NULL,
    path TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    seal TEXT NOT NULL,
    PRIMARY KEY (hub, node, name, time, path)
) STRICT, WITHOUT ROWID;
