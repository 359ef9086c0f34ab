//! The panel that says what is left, and the forms around it.

use berth_types::FieldError;
use leptos::prelude::RenderHtml;
use serde_json::{Value, json};

use super::{
    flows::{APPS, hidden, scene},
    *,
};
use crate::pages::apps::headroom::panel;

fn spec(replicas: i32, cpu: &str) -> Value {
    json!({ "components": [{ "name": "main", "image": "a", "replicas": replicas, "resources": { "requests": { "cpu": cpu } } }] })
}

fn shown(lang: Language, outlook: &Outlook) -> String {
    panel(ui(lang), outlook).to_html()
}

/// The configuration of an app of 5 pods, with another image.
fn changed<'a>(base: &'a str, to: &'a str, image: &'a str) -> [(&'a str, &'a str); 5] {
    [("view", "form"), ("base", base), ("image", image), ("replicas", "5"), ("to", to)]
}

#[test]
fn the_panel_says_what_is_left() {
    // 5.1 of 8 CPU, 11 of 16 GiB and 37 of 40 pods are in use.
    let before = spec(2, "1");
    for (after, bar, words) in [
        (spec(1, "500m"), "bar", "It fits. Pods has least room: it peaks at 37 of 40, 3 left."),
        (spec(1, "500m"), "bar", "peaks at 4.6 of 8 cores"),
        // 4 pods of 1 fit at rest, and the fifth of a rollout does not.
        (spec(4, "1"), "bar warn", "It fits, but not while it changes: CPU peaks at 8.1 of 8 cores, 0.1 too much."),
        (spec(5, "1"), "bar bad", "It does not fit: CPU peaks at 10.1 of 8 cores, 2.1 too much."),
    ] {
        let html = shown(EN, &outlook(&after, Some(&before)));
        assert!(html.contains(words) && html.contains(&format!("class=\"{bar}\"")), "{words} is not in {html}");
    }
    insta::assert_snapshot!("headroom_over_zh", outline(&shown(ZH, &outlook(&spec(5, "1"), Some(&before)))));
}

#[test]
fn it_says_what_it_does_not_know() {
    let found = |change: fn(&mut Preflight)| {
        let Outlook::Found(mut found, _) = outlook(&spec(1, "1"), None) else { panic!("found") };
        change(&mut found);
        shown(EN, &Outlook::Found(found, None))
    };
    for (html, words) in [
        (shown(EN, &Outlook::Unreadable), "counted again once every field can be read"),
        (found(|f| f.headroom.clear()), "This namespace has no quota"),
        (found(|f| f.freshness.as_of = None), "has not been read yet"),
        (
            found(|f| f.freshness.state = CacheState::Stale { since: at("14:00:00"), reason: "no".into() }),
            "does not answer. These numbers are from",
        ),
        (found(|f| f.policy = Policy::Asked), "policies would take its pods"),
        (found(|f| f.policy = Policy::Unknown("no".to_owned())), "could not be asked"),
        (
            found(|f| {
                f.warnings = vec![FieldError::new("a", "quota_unstated", "no").param("resource", "limits.cpu")];
            }),
            "limits limits.cpu: say how much",
        ),
    ] {
        assert!(html.contains(words), "{words} is not in {html}");
    }
}

#[test]
fn every_form_counts_again_and_refuses_what_cannot_fit() {
    let s = scene();
    let page = s.page(&format!("{APPS}/new"));
    assert!(page.contains("What is left after this") && page.contains("value=\"check\""), "{page}");

    // 40 pods at most, 37 of them taken.
    let form =
        |to: &'static str| [("view", "form"), ("name", "big"), ("image", "nginx:1.27"), ("replicas", "4"), ("to", to)];
    let new = format!("{APPS}/new");
    let counted = s.post(&s.alice, &new, &form("headroom"));
    assert_eq!(counted.status, 200);
    assert!(
        !counted.html.contains("<!doctype") && counted.html.contains("peaks at 42 of 40, 2 too much"),
        "{}",
        counted.html
    );
    for to in ["check", ""] {
        let refused = s.post(&s.alice, &new, &form(to));
        assert_eq!(refused.status, 422, "{to}: {}", refused.html);
        for part in [
            "value=\"4\"",
            "value=\"big\"",
            "4 pods need 4 of pods, and 3 of 40 is free for them. 3 fit.",
            "value=\"replicas=3\"",
            "peaks at 42 of 40",
            "/t/payments/quota/requests/new?namespace=staging&amp;lacking%5Bpods%5D=1",
        ] {
            assert!(refused.html.contains(part), "{to}: {part} is not in {}", refused.html);
        }
    }
    assert_eq!(s.get(&s.alice, &format!("{APPS}/big"), &[]).status, 404, "nothing was made");
    let taken = s.post(&s.alice, &new, &[&form("")[..], &[("fix", "replicas=3")]].concat());
    assert!(
        taken.html.contains("peaks at 41 of 40, 1 too much") && taken.html.contains("value=\"3\""),
        "{}",
        taken.html
    );

    // The app's own pods are not in its way.
    let web = s.deploy("web");
    let scale = format!("{web}/scale");
    assert!(s.page(&scale).contains("this app 2 now"), "{}", s.page(&scale));
    let refused = s.post(&s.alice, &scale, &[("component", "main"), ("replicas", "6")]);
    assert_eq!(refused.status, 422, "{}", refused.html);
    assert!(refused.html.contains("5 fit.") && refused.html.contains("value=\"6\""), "{}", refused.html);
    let filled = s.post(&s.alice, &scale, &[("component", "main"), ("replicas", "6"), ("fix", "replicas=5")]);
    assert!(filled.status == 200 && filled.html.contains("value=\"5\""), "{}", filled.html);
    let counted = s.post(&s.alice, &scale, &[("component", "main"), ("replicas", "6"), ("to", "headroom")]);
    assert!(!counted.html.contains("<form") && counted.html.contains("too much"), "{}", counted.html);
    assert_eq!(s.spec("web")["components"][0]["replicas"], 2, "only counted");
    let done = s.post(&s.alice, &scale, &[("component", "main"), ("replicas", "5")]);
    let flash = done.flash.unwrap_or_default();
    assert!(
        flash.starts_with("web goes to 5 pods. A rollout needs 7 of pods at its peak, and 5 of 40 is free"),
        "{flash}"
    );

    // Configuration: what the policies refuse stands there too.
    let configuration = format!("{web}/configuration");
    let base = hidden(&s.page(&configuration), "base");
    s.world.cluster.refuse_pods(vec![
        FieldError::new("spec.components[0].resources.limits.memory", "pod_limit", "no")
            .param("reason", "maximum memory usage per Container is 1Gi, but limit is 2Gi"),
    ]);
    for (to, image) in [("check", "nginx:1.27"), ("", "nginx:1.28")] {
        let refused = s.post(&s.alice, &configuration, &changed(&base, to, image));
        assert_eq!(refused.status, 422, "{to}: {}", refused.html);
        assert!(refused.html.contains("maximum memory usage per Container is 1Gi"), "{}", refused.html);
    }
    s.world.cluster.refuse_pods(Vec::new());
    let checked = s.post(&s.alice, &configuration, &changed(&base, "check", "nginx:1.28"));
    assert!(checked.status == 200 && checked.html.contains("policies would take its pods"), "{}", checked.html);

    let rollback = s.get(&s.alice, &format!("{web}/rollback"), &[("revision", "1")]);
    assert!(rollback.html.contains("What is left after this"), "{}", rollback.html);
    let counted = s.post(&s.alice, &format!("{web}/rollback"), &[("revision", "1"), ("to", "headroom")]);
    assert!(counted.status == 200 && !counted.html.contains("<form"), "{}", counted.html);
}

#[test]
fn what_was_suspended_may_not_fit_any_more() {
    let s = scene();
    let web = s.deploy("web");
    assert_eq!(s.post(&s.alice, &format!("{web}/suspend"), &[]).status, 303);
    s.world.cluster.settle(&berth_core::testing::app_of(&s.namespace, "web"));
    let configuration = s.page(&format!("{web}/configuration"));
    assert!(configuration.contains("Suspended, it takes no pods"), "{configuration}");
    let mut full = usage();
    full[2].used = "39".to_owned();
    s.world.cluster.set_usage(&s.namespace, full);
    let asks = s.page(&format!("{web}/resume"));
    assert!(asks.contains("Resume web?") && asks.contains("It does not fit: Pods peaks at 42 of 40"), "{asks}");
    let refused = s.post(&s.alice, &format!("{web}/resume"), &[]);
    assert_eq!(refused.status, 422, "{}", refused.html);
    assert!(refused.html.contains("2 pods need 2 of pods, and 1 of 40 is free"), "{}", refused.html);
    s.world.cluster.set_usage(&s.namespace, usage());
    assert_eq!(s.post(&s.alice, &format!("{web}/resume"), &[]).status, 303);
}

#[test]
fn a_cluster_that_is_away_is_not_asked() {
    let s = scene();
    let web = s.deploy("web");
    s.world.cluster.set_down(Some("connection refused"));
    let page = s.page(&format!("{web}/scale"));
    assert!(page.contains("does not answer. These numbers are from"), "{page}");
    let refused = s.post(&s.alice, &format!("{web}/scale"), &[("component", "main"), ("replicas", "9")]);
    assert_eq!(refused.status, 503, "as without a preflight: {}", refused.html);
}
