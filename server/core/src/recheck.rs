//! Streams ask again and again whether they may go on, and end when nobody can say (design.md, rule 6).
//!
//! What is taken away counts for what is open within 5 s, also while the database hangs: so often is asked, and so
//! long an answer is waited for.

use std::{future::Future, pin::pin, time::Duration};

use berth_types::ErrorCode;
use futures::future::{Either, select};

use crate::{
    env::Clock,
    error::{Error, Result},
};

/// Streams ask again after so long whether they may go on.
pub const EVERY: Duration = Duration::from_secs(3);
/// How long the answer is waited for. Together with [`EVERY`] less than 5 s, with something left for a busy machine.
pub const WITHIN: Duration = Duration::from_millis(1500);

/// What `asked` comes to, or that nobody can say.
///
/// # Errors
/// Those of `asked`; `StoreUnavailable` when it takes longer than [`WITHIN`].
pub async fn in_time<T>(clock: &dyn Clock, asked: impl Future<Output = Result<T>>) -> Result<T> {
    match select(pin!(asked), clock.sleep(WITHIN)).await {
        Either::Left((answer, _)) => answer,
        Either::Right(_) => {
            let message = "the database does not answer in time whether this may go on";
            Err(Error::new(ErrorCode::StoreUnavailable, message).retry_after(EVERY))
        }
    }
}

/// Asks every [`EVERY`], and returns why a stream must end: `asked` refuses, or nobody can say.
pub async fn until_refused<F: Future<Output = Result<()>>>(clock: &dyn Clock, mut asked: impl FnMut() -> F) -> Error {
    loop {
        clock.sleep(EVERY).await;
        if let Err(refused) = in_time(clock, asked()).await {
            return refused;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::{
        cell::Cell,
        future::{pending, ready},
    };

    use futures::FutureExt as _;

    use super::*;
    use crate::env::ManualClock;

    #[test]
    fn what_is_taken_away_is_gone_within_five_seconds() {
        assert!(EVERY + WITHIN < Duration::from_secs(5));
    }

    #[test]
    fn who_cannot_be_asked_counts_as_a_refusal() {
        let clock = ManualClock::new("2026-01-01T00:00:00Z".parse().unwrap());
        let asked = Cell::new(0);
        let mut ended = pin!(until_refused(&*clock, || {
            asked.set(asked.get() + 1);
            if asked.get() < 3 { ready(Ok(())).left_future() } else { pending().right_future() }
        }));
        for times in 1..=3 {
            assert!(ended.as_mut().now_or_never().is_none());
            clock.advance(EVERY);
            assert!(ended.as_mut().now_or_never().is_none());
            assert_eq!(asked.get(), times);
        }
        clock.advance(WITHIN - Duration::from_millis(1));
        assert!(ended.as_mut().now_or_never().is_none(), "it may still answer");
        clock.advance(Duration::from_millis(1));
        assert_eq!(ended.as_mut().now_or_never().unwrap().code(), ErrorCode::StoreUnavailable);
    }

    #[test]
    fn an_answer_in_time_counts() {
        let clock = ManualClock::new("2026-01-01T00:00:00Z".parse().unwrap());
        let refused = in_time(&*clock, async { Err::<(), _>(Error::not_found()) }).now_or_never().unwrap();
        assert_eq!(refused.unwrap_err().code(), ErrorCode::NotFound);
    }
}
