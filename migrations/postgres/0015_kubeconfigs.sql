-- Tokens that are good for kubectl alone; and which token made another, so that both end together.

ALTER TABLE tokens ADD COLUMN purpose TEXT COLLATE "C" NOT NULL DEFAULT 'api' CHECK (purpose IN ('api', 'kubectl'));
ALTER TABLE tokens ADD COLUMN made_by TEXT COLLATE "C" REFERENCES tokens (id) ON DELETE CASCADE;
CREATE INDEX tokens_by_maker ON tokens (made_by);
