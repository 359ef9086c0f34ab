-- Signing out at the provider, too.

-- Off for providers of before: they were not told where to send people back to.
ALTER TABLE identity_providers ADD COLUMN sign_out_there INTEGER NOT NULL DEFAULT 0 CHECK (sign_out_there IN (0, 1));
-- The provider by which the session began.
ALTER TABLE sessions ADD COLUMN provider_id TEXT REFERENCES identity_providers (id) ON DELETE SET NULL;
