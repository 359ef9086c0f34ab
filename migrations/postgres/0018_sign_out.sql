-- Signing out at the provider, too.

-- Off for providers of before: they were not told where to send people back to.
ALTER TABLE identity_providers ADD COLUMN sign_out_there BOOLEAN NOT NULL DEFAULT FALSE;
-- The provider by which the session began.
ALTER TABLE sessions ADD COLUMN provider_id TEXT COLLATE "C" REFERENCES identity_providers (id) ON DELETE SET NULL;
