//! The subcommands other than `serve`.

pub mod admin;
pub mod agent;
pub mod audit;
pub mod database;
pub mod doctor;
pub mod print;
pub mod sim;
