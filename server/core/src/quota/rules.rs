//! Which requests need nobody to decide about them. Pure.
//!
//! The reference is the check that BC Gov's platform registry makes for its OpenShift clusters
//! (<https://github.com/bcgov/platform-services-registry>, `app/helpers/auto-approval-check.ts`): a decrease is approved always;
//! an increase if it is one tier at most, the use is above 85 % of the limit (storage: 80 %), and of CPU and memory 35 % of what
//! is asked for is really used in the mean of two weeks. Its tiers double from one to the next, hence twice the limit here.
//!
//! What counts is what was used over time, as far as that is known ([`Past`]): of a limit the mean of the last day, so that
//! nobody gets more by filling it up for a minute, and real use where metrics are. Where there is no history yet, the moment
//! counts; a second step waits until the first is a month old in any case.

use berth_types::{
    FieldError, Quantity, QuotaKey, Resources,
    quota::{Measure, field, request::Terms},
};
use jiff::{SignedDuration, Timestamp};

use super::{Book, RESOURCES};
use crate::usage::Past;

/// When a rule approves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// How much of a limit must be in use, in per cent.
    pub use_percent: u16,
    /// The same for storage.
    pub storage_percent: u16,
    /// How much more than the limit one step is, in per cent; 0: no increase is approved by itself.
    pub step_percent: u16,
    /// Days between two steps of a key.
    pub rest_days: u16,
    /// How much of the CPU and memory that is asked for must really be in use in the mean of two weeks, in per cent.
    pub busy_percent: u16,
}

impl Default for Rules {
    /// 85 %, for storage 80 %; twice the limit, once in 30 days; 35 % really in use.
    fn default() -> Self {
        Self { use_percent: 85, storage_percent: 80, step_percent: 100, rest_days: 30, busy_percent: 35 }
    }
}

/// Which rule approves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// Nothing becomes more.
    Decrease,
    /// One step up, where it is used.
    Step,
}

impl Rule {
    /// As who it decides, in the steps of a request.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Decrease => "rule:decrease",
            Self::Step => "rule:step",
        }
    }
}

/// What there is to judge by.
#[derive(Debug)]
pub struct Case<'a> {
    /// The tenant's book.
    pub book: &'a Book,
    /// What is asked.
    pub terms: &'a Terms,
    /// What the tenant's namespaces use together; nothing is known of what is not named.
    pub used: &'a Resources,
    /// What is known of the time before.
    pub past: &'a Past,
    /// Whether who asks may share the tenant's quota out.
    pub may_share: bool,
    /// Keys that a step was approved of before, and when.
    pub steps: &'a [(QuotaKey, Timestamp)],
    /// Now.
    pub now: Timestamp,
}

impl Rules {
    /// Which rule approves what is asked.
    ///
    /// # Errors
    /// Why none does: at each key, for who asked and who decides.
    pub fn judge(&self, case: &Case<'_>) -> Result<Rule, Vec<FieldError>> {
        let mut against = Vec::new();
        if !case.may_share {
            let message = "it was asked by somebody who does not share the tenant's quota out";
            against.push(FieldError::new(RESOURCES, "request_role", message));
        }
        // To keep for longer what is lent is more, too.
        let more = |(key, wanted): &(&QuotaKey, Quantity)| {
            case.book.lasting(key, case.terms.until).is_none_or(|has| *wanted > has)
        };
        let increases: Vec<(&QuotaKey, Quantity)> = case.terms.resources.iter().filter(more).collect();
        against.extend(increases.iter().filter_map(|(key, wanted)| self.against(case, key, *wanted)));
        match (against.is_empty(), increases.is_empty()) {
            (false, _) => Err(against),
            (true, true) => Ok(Rule::Decrease),
            (true, false) => Ok(Rule::Step),
        }
    }

    /// Why an increase of one key is no step that is approved by itself.
    fn against(&self, case: &Case<'_>, key: &QuotaKey, wanted: Quantity) -> Option<FieldError> {
        let at = |code: &str, message: String| {
            FieldError::new(field(RESOURCES, key.as_str()), code, message).param("key", key)
        };
        if is_scarce(key) || self.step_percent == 0 {
            return Some(at("request_scarce", format!("more of {key} is given by admins only")));
        }
        let Some(limit) = case.book.limit_of(key) else {
            return Some(at("request_unlimited", format!("nothing limits the tenant in {key}")));
        };
        let most = Quantity::millis(limit.as_millis().saturating_mul(100 + i64::from(self.step_percent)) / 100);
        // What is wanted for good is beside what is lent.
        let beside = if case.terms.until.is_none() { case.book.lent(key) } else { Quantity::ZERO };
        let most = most.minus(beside);
        if wanted > most {
            let most = key.write(most);
            let message = format!("{} is more than one step: that goes up to {most}", key.write(wanted));
            return Some(at("request_step", message).param("value", key.write(wanted)).param("most", most));
        }
        let enough = if is_storage(key) { self.storage_percent } else { self.use_percent };
        let Some(used) = case.used.has(key).then(|| case.used.of(key)) else {
            return Some(at("request_uncounted", format!("how much of {key} is used is not known")));
        };
        let lacks = |used: Quantity| used.thousandths_of(limit).unwrap_or(1000) < i64::from(enough) * 10;
        let said = |code: &str, used: Quantity, when: &str| {
            let (used, limit) = (key.write(used), key.write(limit));
            let message = format!("{used} of {limit} {when}: a step needs {enough} %");
            Some(at(code, message).param("used", used).param("limit", limit).param("percent", enough))
        };
        if lacks(used) {
            return said("request_idle", used, "is used");
        }
        if case.past.held.has(key) && lacks(case.past.held.of(key)) {
            return said("request_held", case.past.held.of(key), "was used in the mean of the last day");
        }
        let needed = self.busy_percent;
        if let Some(busy) = case.past.busy_of(key).filter(|busy| *busy < i64::from(needed) * 10) {
            let busy = busy / 10;
            let message = format!(
                "{busy} % of what is asked for was really in use in the last two weeks: a step needs {needed} %"
            );
            return Some(at("request_busy", message).param("busy", busy).param("percent", needed));
        }
        let rest = SignedDuration::from_hours(24 * i64::from(self.rest_days));
        let last = case.steps.iter().filter(|(stepped, _)| stepped == key).map(|(_, at)| *at).max();
        if last.is_some_and(|last| case.now.duration_since(last) < rest) {
            let days = self.rest_days;
            let message = format!("a rule gave more of {key} less than {days} days ago");
            return Some(at("request_again", message).param("days", days));
        }
        None
    }
}

/// What is dear: devices, and what the world sees.
fn is_scarce(key: &QuotaKey) -> bool {
    let key = key.as_str();
    key.starts_with("services.") || key.starts_with("requests.") && key.contains('/')
}

fn is_storage(key: &QuotaKey) -> bool {
    key.measure() == Measure::Bytes && key.as_str().ends_with("requests.storage")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::quota::{
        requests::Granting,
        tests::{amounts, book},
    };

    const NOW: &str = "2026-11-22T00:00:00Z";
    const LIMIT: &str = "requests.cpu=8 requests.memory=16Gi requests.storage=100Gi pods=40 services.loadbalancers=1 \
                         requests.nvidia.com/gpu=1";
    const BUSY: &str = "requests.cpu=7 requests.memory=14Gi requests.storage=80Gi pods=34 services.loadbalancers=1 \
                        requests.nvidia.com/gpu=1";

    fn judge(asked: &str, used: &str) -> String {
        judge_of(asked, used, true, &[])
    }

    fn judge_of(asked: &str, used: &str, may_share: bool, steps: &[(QuotaKey, Timestamp)]) -> String {
        let book = book(Some(LIMIT), &[]);
        let terms = Terms { resources: amounts(asked), until: None };
        let used = amounts(used);
        let now = NOW.parse().unwrap();
        let past = Past::default();
        let case = Case { book: &book, terms: &terms, used: &used, past: &past, may_share, steps, now };
        match Rules::default().judge(&case) {
            Ok(rule) => rule.name().to_owned(),
            Err(against) => against.into_iter().map(|e| e.code).collect::<Vec<_>>().join(" "),
        }
    }

    #[test]
    fn what_is_approved_by_itself() {
        for (asked, used, want) in [
            // A decrease always, whatever is used.
            ("requests.cpu=4", "", "rule:decrease"),
            ("requests.cpu=8", "", "rule:decrease"),
            ("requests.cpu=4 services.loadbalancers=0", BUSY, "rule:decrease"),
            // One step up, where it is used.
            ("requests.cpu=16", BUSY, "rule:step"),
            ("requests.cpu=9 pods=80", BUSY, "rule:step"),
            ("requests.cpu=9 pods=4", BUSY, "rule:step"),
            ("requests.cpu=16001m", BUSY, "request_step"),
            ("requests.cpu=16", "requests.cpu=6800m", "rule:step"),
            ("requests.cpu=16", "requests.cpu=6799m", "request_idle"),
            ("requests.cpu=16", "pods=40", "request_uncounted"),
            // Storage needs less.
            ("requests.storage=200Gi", BUSY, "rule:step"),
            ("requests.storage=200Gi", "requests.storage=79Gi", "request_idle"),
            // Devices and addresses never.
            ("services.loadbalancers=2", BUSY, "request_scarce"),
            ("requests.nvidia.com/gpu=2", BUSY, "request_scarce"),
            // Each key for itself.
            ("requests.cpu=32 requests.memory=20Gi", BUSY, "request_step"),
            ("requests.cpu=32 pods=90", BUSY, "request_step request_step"),
        ] {
            assert_eq!(judge(asked, used), want, "{asked} with {used} in use");
        }
    }

    /// Eight of sixteen are lent: a step is of what there is, with them.
    #[test]
    fn a_step_counts_what_is_lent() {
        let mut book = book(Some("pods=8"), &[]);
        let until = Some(NOW.parse().unwrap());
        let terms = Terms { resources: amounts("pods=16"), until };
        let granting = Granting { request: uuid::Uuid::nil(), namespace: None, terms, judged: None, stood: Vec::new() };
        book = book.granting(&granting).unwrap();
        let (used, past, now) = (amounts("pods=16"), Past::default(), NOW.parse().unwrap());
        let later = Some("2027-01-01T00:00:00Z".parse().unwrap());
        for (asked, until, want) in [
            ("pods=16", until, Ok(Rule::Decrease)),
            ("pods=16", later, Ok(Rule::Step)),
            ("pods=24", None, Ok(Rule::Step)),
            ("pods=25", None, Err("request_step")),
            ("pods=32", until, Ok(Rule::Step)),
            ("pods=33", until, Err("request_step")),
        ] {
            let terms = Terms { resources: amounts(asked), until };
            let case = Case { book: &book, terms: &terms, used: &used, past: &past, may_share: true, steps: &[], now };
            let got = Rules::default().judge(&case).map_err(|against| against[0].code.clone());
            assert_eq!(got, want.map_err(str::to_owned), "{asked} {until:?}");
        }
    }

    #[test]
    fn who_asks_and_what_was_before() {
        assert_eq!(judge_of("pods=4", BUSY, false, &[]), "request_role");
        let pods = |at: &str| [("pods".parse().unwrap(), at.parse().unwrap())];
        let (lately, long_ago) = (pods("2026-10-24T00:00:00Z"), pods("2026-10-23T00:00:00Z"));
        assert_eq!(judge_of("pods=50", BUSY, true, &lately), "request_again");
        assert_eq!(judge_of("requests.cpu=9", BUSY, true, &lately), "rule:step");
        assert_eq!(judge_of("pods=50", BUSY, true, &long_ago), "rule:step");
    }

    #[test]
    fn what_was_used_over_time_counts() {
        let book = book(Some(LIMIT), &[]);
        let used = amounts(BUSY);
        for (asked, held, (cpu, memory), want) in [
            // No history yet: the moment counts.
            ("requests.cpu=16", "", (None, None), None),
            ("requests.cpu=16", "requests.cpu=6800m", (Some(350), None), None),
            // Filled up for a moment only.
            ("requests.cpu=16", "requests.cpu=6799m", (Some(350), None), Some("request_held")),
            ("pods=80", "pods=20", (Some(900), Some(900)), Some("request_held")),
            ("requests.storage=200Gi", "requests.storage=79Gi", (None, None), Some("request_held")),
            // Asked for, and not used: each by its own measure.
            ("requests.cpu=16", "requests.cpu=8", (Some(349), Some(900)), Some("request_busy")),
            ("requests.cpu=16", "", (Some(349), None), Some("request_busy")),
            ("requests.memory=32Gi", "", (Some(349), Some(350)), None),
            ("requests.memory=32Gi", "", (Some(900), Some(0)), Some("request_busy")),
            ("pods=80", "", (Some(0), Some(0)), None),
            ("requests.storage=200Gi", "", (Some(0), Some(0)), None),
            // A decrease always.
            ("requests.cpu=4", "requests.cpu=1", (Some(0), None), None),
        ] {
            let terms = Terms { resources: amounts(asked), until: None };
            let past = Past { held: amounts(held), busy: crate::usage::Pair { cpu, memory } };
            let now = NOW.parse().unwrap();
            let case = Case { book: &book, terms: &terms, used: &used, past: &past, may_share: true, steps: &[], now };
            let against = Rules::default().judge(&case).err().map(|all| all[0].code.clone());
            assert_eq!(against.as_deref(), want, "{asked}, held {held}, busy {cpu:?} {memory:?}");
            if want == Some("request_busy") {
                let never = Rules { busy_percent: 0, ..Rules::default() };
                assert!(never.judge(&case).is_ok(), "0: nobody looks");
            }
        }
    }

    #[test]
    fn rules_can_be_set() {
        let book = book(Some("pods=10"), &[]);
        let used = amounts("pods=5");
        let case = |asked: &str| Terms { resources: amounts(asked), until: None };
        let judge = |rules: Rules, terms: &Terms| {
            let (now, past) = (NOW.parse().unwrap(), Past::default());
            rules
                .judge(&Case { book: &book, terms, used: &used, past: &past, may_share: true, steps: &[], now })
                .is_ok()
        };
        let open = Rules { use_percent: 50, step_percent: 10, ..Rules::default() };
        assert!(judge(open, &case("pods=11")) && !judge(open, &case("pods=12")));
        let off = Rules { step_percent: 0, ..open };
        assert!(!judge(off, &case("pods=11")) && judge(off, &case("pods=9")));
    }
}
