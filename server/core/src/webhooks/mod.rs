//! Webhooks, as far as nothing but numbers and texts is needed: where they may be ([`guard`]), how messages are signed ([`sign`]),
//! when they are tried again ([`schedule`]), when a quota counts as nearly used up ([`pressure`]).

pub mod guard;
pub mod pressure;
pub mod schedule;
pub mod sign;
