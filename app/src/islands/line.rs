//! What stands before a printed line: the same words on the server and in the browser.

/// The time of day of an RFC 3339 instant, to the millisecond: `14:02:03.500`. Columns stand below each other, so the digits
/// that serializers leave out are there.
#[must_use]
pub fn time_of_day(at: &str) -> String {
    let Some((_, time)) = at.split_once('T') else { return String::new() };
    let (whole, fraction) = time.trim_end_matches('Z').split_once('.').unwrap_or((time.trim_end_matches('Z'), ""));
    format!("{whole}.{fraction:0<3.3}")
}

/// Who printed it: the part of a pod's name that tells it from its siblings, after the container where an app has several
/// components: `worker/x7k2p`.
#[must_use]
pub fn origin(pod: &str, container: &str, several: bool) -> String {
    let pod = pod.rsplit('-').next().unwrap_or(pod);
    if several { format!("{container}/{pod}") } else { pod.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_their_digits() {
        for (at, want) in [
            ("2026-11-21T14:02:03Z", "14:02:03.000"),
            ("2026-11-21T14:02:03.5Z", "14:02:03.500"),
            ("2026-11-21T14:02:03.123456789Z", "14:02:03.123"),
            ("", ""),
        ] {
            assert_eq!(time_of_day(at), want);
        }
    }

    #[test]
    fn origins() {
        assert_eq!(origin("web-7f9c-x7k2p", "main", false), "x7k2p");
        assert_eq!(origin("web-worker-7f9c-x7k2p", "worker", true), "worker/x7k2p");
        assert_eq!(origin("", "", false), "");
    }
}
