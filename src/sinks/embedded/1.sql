CREATE TABLE series (
    key TEXT NOT NULL PRIMARY KEY,
    id INTEGER NOT NULL UNIQUE,
    newest_raw INTEGER,
    newest_1h INTEGER,
    newest_1d INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE field (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE tier_raw (
    bucket INTEGER NOT NULL,
    series INTEGER NOT NULL,
    field INTEGER NOT NULL,
    time INTEGER NOT NULL,
    value ANY NOT NULL,
    PRIMARY KEY (bucket, series, field, time)
) STRICT, WITHOUT ROWID;

CREATE TABLE tier_1h (
    bucket INTEGER NOT NULL,
    series INTEGER NOT NULL,
    field INTEGER NOT NULL,
    time INTEGER NOT NULL,
    value ANY NOT NULL,
    PRIMARY KEY (bucket, series, field, time)
) STRICT, WITHOUT ROWID;

CREATE TABLE tier_1d (
    bucket INTEGER NOT NULL,
    series INTEGER NOT NULL,
    field INTEGER NOT NULL,
    time INTEGER NOT NULL,
    value ANY NOT NULL,
    PRIMARY KEY (bucket, series, field, time)
) STRICT, WITHOUT ROWID;

CREATE VIEW points AS
SELECT tier, datetime(seconds, 'unixepoch') AS utc, seconds AS time, key AS series, name AS field, value
FROM (
    SELECT 'raw' AS tier, bucket * 3600 + time / 1000000000 AS seconds, series, field, value FROM tier_raw
    UNION ALL
    SELECT '1h', bucket * 86400 + time / 1000000000, series, field, value FROM tier_1h
    UNION ALL
    SELECT '1d', bucket * 2764800 + time / 1000000000, series, field, value FROM tier_1d
) AS rows
JOIN series ON series.id = rows.series
JOIN field ON field.id = rows.field;
