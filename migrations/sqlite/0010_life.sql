-- What a namespace's pods may reach, and where tenants and namespaces are in their lives.

-- none: everything, as before there was a list
ALTER TABLE namespaces ADD COLUMN egress TEXT;

-- who put it to rest, when and why
ALTER TABLE tenants ADD COLUMN suspended TEXT;
-- the same for who removes it, and until when that can be undone
ALTER TABLE tenants ADD COLUMN leaving TEXT;
ALTER TABLE namespaces ADD COLUMN leaving TEXT;
