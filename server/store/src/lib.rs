//! The SQL: SQLite and Postgres adapters of core's store ports.
