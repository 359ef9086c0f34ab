//! How much mail a person gets: what passes it is left out, and the next one says how much that was.

use jiff::SignedDuration;

/// Over which time it is counted.
pub const WINDOW: SignedDuration = SignedDuration::from_hours(1);

/// What becomes of a mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Budget {
    /// It is sent, and says that so many were left out before it.
    Send(i64),
    /// It is left out, and counted.
    Drop,
}

/// What becomes of a mail to somebody for whom `recent` were made within [`WINDOW`] and `dropped` left out since they were told; `most`
/// is what they get. What must not be missed is `always` sent.
#[must_use]
pub fn decide(recent: i64, dropped: i64, most: i64, always: bool) -> Budget {
    if always || recent < most { Budget::Send(dropped) } else { Budget::Drop }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_it_is_left_out() {
        for (recent, dropped, most, always, want) in [
            (0, 0, 20, false, Budget::Send(0)),
            (19, 0, 20, false, Budget::Send(0)),
            (20, 0, 20, false, Budget::Drop),
            (20, 7, 20, false, Budget::Drop),
            (20, 7, 20, true, Budget::Send(7)),
            (3, 7, 20, false, Budget::Send(7)),
            (0, 0, 0, false, Budget::Drop),
        ] {
            assert_eq!(decide(recent, dropped, most, always), want, "{recent} {dropped} {most} {always}");
        }
    }
}
