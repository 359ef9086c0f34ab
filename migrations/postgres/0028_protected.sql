-- A protected namespace is changed in Berth alone: kubectl only reads there.
ALTER TABLE namespaces ADD COLUMN protected BOOLEAN NOT NULL DEFAULT FALSE;
