-- Which Berth this is: replicas on one database are one, whoever comes with another database is somebody else.
CREATE TABLE installation (
    one SMALLINT NOT NULL PRIMARY KEY CHECK (one = 1),
    id  TEXT     NOT NULL
);
INSERT INTO installation (one, id) VALUES (1, replace(gen_random_uuid()::text, '-', ''));
