-- Providers that speak plain OAuth 2.0: where what is, as JSON; nothing for those that speak OpenID Connect.
ALTER TABLE identity_providers ADD COLUMN oauth TEXT COLLATE "C";
