//! What to do next for a StatefulSet: a pure decision (`pkg/controller/statefulset/stateful_set_control.go`).

/// What a StatefulSet asks for.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// First ordinal.
    pub start: i64,
    /// Number of pods.
    pub replicas: i64,
    /// All at once instead of one after the other.
    pub parallel: bool,
    /// Update pods from the highest ordinal down to this one; `None` for OnDelete.
    pub update_from: Option<i64>,
}

/// A pod as far as the decision looks at it.
#[derive(Debug, Clone)]
pub struct Pod {
    /// Its ordinal.
    pub ordinal: i64,
    /// Failed or Succeeded.
    pub finished: bool,
    /// Being deleted.
    pub terminating: bool,
    /// Running and ready.
    pub ready: bool,
    /// Ready for `minReadySeconds`.
    pub available: bool,
    /// Of the newest template.
    pub updated: bool,
}

/// A step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Create the pod of an ordinal.
    Create(i64),
    /// Delete the pod of an ordinal.
    Delete(i64),
}

/// The steps that may be taken now.
#[must_use]
pub fn next(wanted: &Wanted, pods: &[Pod]) -> Vec<Step> {
    let mut steps = Vec::new();
    let within = |pod: &&Pod| pod.ordinal >= wanted.start && pod.ordinal < wanted.start + wanted.replicas;
    for ordinal in wanted.start..wanted.start + wanted.replicas {
        match pods.iter().find(|pod| pod.ordinal == ordinal) {
            None => steps.push(Step::Create(ordinal)),
            Some(pod) if pod.finished && !pod.terminating => steps.push(Step::Delete(ordinal)),
            Some(pod) if pod.terminating || !pod.available => {}
            Some(_) => continue,
        }
        if !wanted.parallel {
            return steps;
        }
    }
    let mut condemned: Vec<&Pod> = pods.iter().filter(|pod| !within(pod)).collect();
    condemned.sort_by_key(|pod| -pod.ordinal);
    for pod in condemned {
        if pod.terminating {
            if wanted.parallel { continue } else { return steps }
        }
        steps.push(Step::Delete(pod.ordinal));
        if !wanted.parallel {
            return steps;
        }
    }
    if !steps.is_empty() {
        return steps;
    }
    let Some(lowest) = wanted.update_from else { return steps };
    let mut replicas: Vec<&Pod> = pods.iter().filter(within).filter(|pod| pod.ordinal >= lowest).collect();
    replicas.sort_by_key(|pod| -pod.ordinal);
    for pod in replicas {
        if !pod.updated && !pod.terminating {
            steps.push(Step::Delete(pod.ordinal));
            return steps;
        }
        if !pod.available || pod.terminating {
            return steps;
        }
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(ordinal: i64, marks: &str) -> Pod {
        let has = |mark| marks.contains(mark);
        Pod {
            ordinal,
            finished: has('f'),
            terminating: has('t'),
            ready: has('r'),
            available: has('r'),
            updated: !has('o'),
        }
    }

    #[test]
    fn steps() {
        let ordered = |replicas, update_from| Wanted { start: 0, replicas, parallel: false, update_from };
        let parallel = |replicas| Wanted { parallel: true, ..ordered(replicas, Some(0)) };
        for (wanted, pods, expected) in [
            (ordered(3, Some(0)), vec![], vec![Step::Create(0)]),
            (ordered(3, Some(0)), vec![pod(0, "")], vec![]),
            (ordered(3, Some(0)), vec![pod(0, "r")], vec![Step::Create(1)]),
            (ordered(2, Some(0)), vec![pod(0, "f"), pod(1, "r")], vec![Step::Delete(0)]),
            (ordered(1, Some(0)), vec![pod(0, "r"), pod(1, "r"), pod(2, "r")], vec![Step::Delete(2)]),
            (ordered(1, Some(0)), vec![pod(0, "r"), pod(1, "r"), pod(2, "rt")], vec![]),
            (ordered(2, Some(0)), vec![pod(0, "ro"), pod(1, "ro")], vec![Step::Delete(1)]),
            (ordered(2, Some(0)), vec![pod(0, "ro"), pod(1, "r")], vec![Step::Delete(0)]),
            (ordered(2, Some(0)), vec![pod(0, "ro"), pod(1, "")], vec![]),
            (ordered(2, Some(1)), vec![pod(0, "ro"), pod(1, "r")], vec![]),
            (ordered(2, None), vec![pod(0, "ro"), pod(1, "ro")], vec![]),
            (parallel(2), vec![], vec![Step::Create(0), Step::Create(1)]),
            (parallel(1), vec![pod(0, "r"), pod(1, "r"), pod(2, "r")], vec![Step::Delete(2), Step::Delete(1)]),
            (Wanted { start: 5, ..ordered(1, Some(0)) }, vec![pod(0, "r")], vec![Step::Create(5)]),
        ] {
            assert_eq!(next(&wanted, &pods), expected, "{wanted:?} {pods:?}");
        }
    }
}
