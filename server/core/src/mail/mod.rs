//! Mail, as far as nothing but rows and texts is needed: what is an address ([`address`]), who is told what ([`who`]), how much
//! ([`budget`]), and how it reads ([`text`]).

pub mod address;
pub mod budget;
pub mod text;
pub mod who;
