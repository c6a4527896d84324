-- What describes a series, as its newest point says.
ALTER TABLE series ADD COLUMN labels TEXT NOT NULL DEFAULT '';

-- What a folded value was made of; NULL where nobody knows.
ALTER TABLE tier_1h ADD COLUMN sum ANY;
ALTER TABLE tier_1h ADD COLUMN slots INTEGER;
ALTER TABLE tier_1h ADD COLUMN least ANY;
ALTER TABLE tier_1h ADD COLUMN most ANY;

ALTER TABLE tier_1d ADD COLUMN sum ANY;
ALTER TABLE tier_1d ADD COLUMN slots INTEGER;
ALTER TABLE tier_1d ADD COLUMN least ANY;
ALTER TABLE tier_1d ADD COLUMN most ANY;
