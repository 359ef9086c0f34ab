//! Whom an agent calls, and when again: decided here, done elsewhere.

use std::time::Duration;

/// The first wait after a call failed, and the longest.
const AGAIN: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));
/// Between calls that all reach replicas to which there is a tunnel already.
const LOOK: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(20));

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Call, after so long.
    Call(Duration),
    /// There is a tunnel to every replica: wait for one to end, or for more replicas.
    Rest,
}

/// How the last calls went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Luck {
    /// Calls in a row that brought no tunnel.
    pub failed: u32,
    /// Calls in a row that reached a replica to which there is a tunnel already.
    pub surplus: u32,
}

/// Twice as long each time, of which chance (from 0 to 1) takes up to half away, so that agents do not call all at once.
fn wait((first, longest): (Duration, Duration), times: u32, chance: f64) -> Duration {
    let doubled = first.saturating_mul(1_u32.checked_shl(times.saturating_sub(1)).unwrap_or(u32::MAX)).min(longest);
    doubled.mul_f64(1.0 - chance.clamp(0.0, 1.0) / 2.0)
}

/// The next step of an agent that holds tunnels to `held` replicas, of which it has heard that there are `replicas`.
#[must_use]
pub fn next(held: usize, replicas: usize, luck: Luck, chance: f64) -> Step {
    if held > 0 && held >= replicas {
        return Step::Rest;
    }
    Step::Call(match luck {
        Luck { failed: 0, surplus: 0 } => Duration::ZERO,
        Luck { failed: 0, surplus } => wait(LOOK, surplus, chance),
        Luck { failed, .. } => wait(AGAIN, failed, chance),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_tunnel_to_each_replica() {
        let ms = Duration::from_millis;
        let luck = |failed, surplus| Luck { failed, surplus };
        for (held, replicas, luck, chance, want) in [
            // The first call of all goes out at once.
            (0, 0, luck(0, 0), 0.0, Step::Call(ms(0))),
            (0, 1, luck(1, 0), 0.0, Step::Call(ms(500))),
            (0, 1, luck(1, 0), 1.0, Step::Call(ms(250))),
            (0, 1, luck(3, 0), 0.0, Step::Call(ms(2000))),
            (0, 1, luck(7, 0), 0.0, Step::Call(ms(30_000))),
            (0, 1, luck(u32::MAX, 0), 1.0, Step::Call(ms(15_000))),
            (1, 1, luck(0, 0), 0.0, Step::Rest),
            (1, 0, luck(0, 0), 0.0, Step::Rest),
            (2, 1, luck(0, 0), 0.0, Step::Rest),
            // A second replica: called until it answers, ever more slowly when others answer instead.
            (1, 2, luck(0, 0), 0.0, Step::Call(ms(0))),
            (1, 2, luck(0, 1), 0.0, Step::Call(ms(200))),
            (1, 2, luck(0, 4), 0.5, Step::Call(ms(1200))),
            (1, 2, luck(0, 99), 0.0, Step::Call(ms(20_000))),
            (1, 2, luck(1, 9), 0.0, Step::Call(ms(500))),
            // Nothing is known of replicas before one has answered, and one is lost.
            (0, 2, luck(0, 0), 0.0, Step::Call(ms(0))),
        ] {
            assert_eq!(next(held, replicas, luck, chance), want, "{held} of {replicas}, {luck:?}, {chance}");
        }
    }
}
