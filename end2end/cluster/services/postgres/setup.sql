-- Run at each start. Tests make databases of their own.
SELECT 'CREATE ROLE "${USER}" LOGIN CREATEDB PASSWORD ''${PASSWORD}'''
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '${USER}') \gexec
SELECT 'CREATE DATABASE berth OWNER "${USER}"'
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'berth') \gexec
