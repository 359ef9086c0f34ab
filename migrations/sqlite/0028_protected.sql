-- A protected namespace is changed in Berth alone: kubectl only reads there.
ALTER TABLE namespaces ADD COLUMN protected INTEGER NOT NULL DEFAULT 0 CHECK (protected IN (0, 1));
