//! The main job, form by form, over services that are real and a cluster in memory.

use berth_core::{
    OpCtx,
    authz::NamespaceRef,
    ports::pages::{PageRequest, PageResponse, Pages},
    testing::{World, app_of},
};
use berth_types::{TenantRole, app_status::CauseCode};
use futures::{FutureExt, StreamExt, executor::block_on};

use super::*;
use crate::{AppPages, Assets};

pub(super) struct Scene {
    pub(super) world: World,
    pages: AppPages,
    pub(super) namespace: NamespaceRef,
    pub(super) alice: OpCtx,
    pub(super) victor: OpCtx,
    mallory: OpCtx,
}

pub(super) const APPS: &str = "/t/payments/n/staging/apps";

/// A tenant with a developer (alice) and a viewer (victor), and a person of another one (mallory).
pub(super) fn scene() -> Scene {
    block_on(async {
        let world = World::new();
        for name in ["alice", "victor", "mallory"] {
            world.person(name, None).await;
        }
        let members = [("alice", TenantRole::Owner), ("victor", TenantRole::Viewer)];
        let tenant = world.tenant("payments", &members).await;
        world.tenant("other", &[("mallory", TenantRole::Owner)]).await;
        let namespace = world.namespace(&tenant, "staging").await;
        world.cluster.set_usage(&namespace, usage());
        let pages = AppPages::new(world.services.clone(), Assets::default());
        let (alice, victor, mallory) =
            (world.ctx("alice").await, world.ctx("victor").await, world.ctx("mallory").await);
        Scene { world, pages, namespace, alice, victor, mallory }
    })
}

fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

impl Scene {
    pub(super) fn get(&self, ctx: &OpCtx, path: &str, query: &[(&str, &str)]) -> PageResponse {
        let request = PageRequest { path: path.to_owned(), query: pairs(query), ..PageRequest::default() };
        block_on(self.pages.respond(ctx, request))
    }

    pub(super) fn post(&self, ctx: &OpCtx, path: &str, form: &[(&str, &str)]) -> PageResponse {
        let request = PageRequest { path: path.to_owned(), form: Some(pairs(form)), ..PageRequest::default() };
        block_on(self.pages.respond(ctx, request))
    }

    pub(super) fn page(&self, path: &str) -> String {
        let response = self.get(&self.alice, path, &[]);
        assert_eq!(response.status, 200, "{path}: {}", response.html);
        response.html
    }

    pub(super) fn deploy(&self, name: &str) -> String {
        let form = [("view", "form"), ("name", name), ("image", "nginx:1.27"), ("replicas", "2"), ("port", "8080")];
        let response = self.post(&self.alice, &format!("{APPS}/new"), &form);
        assert_eq!(response.redirect.as_deref(), Some(format!("{APPS}/{name}").as_str()), "{}", response.html);
        self.world.cluster.settle(&app_of(&self.namespace, name));
        format!("{APPS}/{name}")
    }

    pub(super) fn spec(&self, name: &str) -> serde_json::Value {
        let path = (&self.namespace.tenant.name, &self.namespace.name, &name.parse().unwrap());
        block_on(self.world.services.get_app(&self.alice, path)).unwrap().object.object["spec"].clone()
    }
}

/// The value of a hidden field.
pub(super) fn hidden(html: &str, name: &str) -> String {
    let from = html.split_once(&format!("name=\"{name}\" value=\"")).unwrap().1;
    from.split_once('"')
        .unwrap()
        .0
        .replace("&quot;", "\"")
        .replace("&amp;", "&")
        .replace("&lt;", "<")
        .replace("&gt;", ">")
}

#[test]
fn deploy_look_scale_change_roll_back_delete() {
    let s = scene();
    assert!(s.page(APPS).contains("No apps here yet"));
    let web = s.deploy("web");
    assert!(s.page(APPS).contains("2/2"));
    let overview = s.page(&web);
    assert!(overview.contains("2 of 2 ready") && overview.contains("web-5d4f8c7b9-00001"), "{overview}");
    for tab in ["pods", "events", "logs", "configuration", "yaml", "revisions", "scale", "delete"] {
        s.page(&format!("{web}/{tab}"));
    }

    let scaled = s.post(&s.alice, &format!("{web}/scale"), &[("component", "main"), ("replicas", "4")]);
    assert_eq!((scaled.status, scaled.redirect.as_deref()), (303, Some(web.as_str())));
    assert_eq!(scaled.flash.as_deref(), Some("web goes to 4 pods."));
    assert_eq!(s.spec("web")["components"][0]["replicas"], 4);

    let configuration = s.page(&format!("{web}/configuration"));
    let base = hidden(&configuration, "base");
    let form = [
        ("view", "form"),
        ("base", &base),
        ("image", "nginx:1.28"),
        ("replicas", "4"),
        ("port", "8080"),
        ("expose", "None"),
        ("strategy", "Rolling"),
    ];
    let saved = s.post(&s.alice, &format!("{web}/configuration"), &form);
    assert_eq!(saved.redirect.as_deref(), Some(web.as_str()), "{}", saved.html);
    assert_eq!(s.spec("web")["components"][0]["image"], "nginx:1.28");
    let revisions = s.page(&format!("{web}/revisions"));
    assert!(revisions.contains("- ") && revisions.contains("nginx:1.27") && revisions.contains("nginx:1.28"));

    let confirm = s.get(&s.alice, &format!("{web}/rollback"), &[("revision", "1")]);
    assert!(confirm.html.contains("Back to revision 1?") && confirm.html.contains("nginx:1.27"), "{}", confirm.html);
    let back = s.post(&s.alice, &format!("{web}/rollback"), &[("revision", "1")]);
    assert_eq!(back.redirect.as_deref(), Some(web.as_str()), "{}", back.html);
    assert_eq!(s.spec("web")["components"][0]["image"], "nginx:1.27");
    assert_eq!(s.get(&s.alice, &format!("{web}/rollback"), &[("revision", "99")]).status, 404);

    for (action, flash) in [
        ("restart", "web restarts, pod by pod."),
        ("suspend", "web is suspended. Resume it when you need it."),
        ("resume", "web starts again."),
    ] {
        let done = s.post(&s.alice, &format!("{web}/{action}"), &[]);
        assert_eq!((done.status, done.flash.as_deref()), (303, Some(flash)), "{}", done.html);
    }

    let refused = s.post(&s.alice, &format!("{web}/delete"), &[("name", "wob")]);
    assert_eq!(refused.status, 422);
    assert!(refused.html.contains("value=\"wob\"") && refused.html.contains("Type web to confirm"), "{}", refused.html);
    let gone = s.post(&s.alice, &format!("{web}/delete"), &[("name", "web")]);
    assert_eq!((gone.status, gone.redirect.as_deref()), (303, Some(APPS)));
    assert_eq!(s.get(&s.alice, &web, &[]).status, 404);
}

#[test]
fn a_refused_form_changes_nothing_and_keeps_what_was_typed() {
    let s = scene();
    let form = [("view", "form"), ("name", "Web"), ("image", ""), ("memory_request", "1Gb")];
    let refused = s.post(&s.alice, &format!("{APPS}/new"), &form);
    assert_eq!(refused.status, 422);
    assert!(refused.html.contains("value=\"1Gb\"") && refused.html.contains("value=\"Web\""), "{}", refused.html);
    assert!(s.page(APPS).contains("No apps here yet"));

    s.deploy("web");
    let taken = s.post(&s.alice, &format!("{APPS}/new"), &[("view", "form"), ("name", "web"), ("image", "other:1")]);
    assert_eq!(taken.status, 422);
    assert!(taken.html.contains("There is an app called “web” already."), "{}", taken.html);
    assert_eq!(s.spec("web")["components"][0]["image"], "nginx:1.27");

    let many = s.post(&s.alice, &format!("{APPS}/web/scale"), &[("component", "main"), ("replicas", "1e3")]);
    assert_eq!(many.status, 422);
    assert!(many.html.contains("value=\"1e3\""), "{}", many.html);
}

#[test]
fn the_other_view_is_no_deed() {
    let s = scene();
    let form = [("view", "form"), ("name", "web"), ("image", "nginx:1"), ("to", "yaml")];
    let yaml = s.post(&s.alice, &format!("{APPS}/new"), &form);
    assert_eq!(yaml.status, 200);
    assert!(yaml.html.contains("kind: App") && yaml.html.contains("image: nginx:1"), "{}", yaml.html);
    assert!(s.page(APPS).contains("No apps here yet"));
}

#[test]
fn a_preview_shows_what_would_be_made_and_makes_nothing() {
    let s = scene();
    let new = format!("{APPS}/new");
    let form = [
        ("view", "form"),
        ("name", "web"),
        ("image", "nginx:1"),
        ("expose", "Internal"),
        ("port", "80"),
        ("to", "preview"),
    ];
    let preview = s.post(&s.alice, &new, &form);
    assert_eq!(preview.status, 200);
    for part in
        ["All right. Nothing is saved yet.", "Deployment/web", "Service/web", "image: nginx:1", "value=\"nginx:1\""]
    {
        assert!(preview.html.contains(part), "{part} is not in {}", preview.html);
    }
    let wrong = s.post(&s.alice, &new, &[("view", "form"), ("name", "Web"), ("image", "nginx:1"), ("to", "preview")]);
    assert!(wrong.status == 422 && !wrong.html.contains("Deployment/"), "{}", wrong.html);
    assert!(s.page(APPS).contains("No apps here yet"));

    let web = s.deploy("web");
    let taken = s.post(&s.alice, &new, &form);
    assert!(taken.status == 422 && taken.html.contains("There is an app called “web” already."), "{}", taken.html);
    let configuration = format!("{web}/configuration");
    let base = hidden(&s.page(&configuration), "base");
    let typed = |image, replicas| {
        [
            ("view", "form"),
            ("base", base.as_str()),
            ("image", image),
            ("replicas", replicas),
            ("port", "8080"),
            ("expose", "None"),
            ("strategy", "Rolling"),
            ("to", "preview"),
        ]
    };
    let changed = s.post(&s.alice, &configuration, &typed("nginx:1.27", "4")).html;
    assert!(changed.contains("-   replicas: 2") && changed.contains("+   replicas: 4"), "{changed}");
    let same = s.post(&s.alice, &configuration, &typed("nginx:1.27", "2")).html;
    assert!(same.contains("Nothing would change."), "{same}");
    assert_eq!(s.spec("web")["components"][0]["replicas"], 2);
    assert_eq!(s.post(&s.victor, &configuration, &typed("nginx:1.27", "4")).status, 403);
    assert_eq!(s.post(&s.mallory, &configuration, &typed("nginx:1.27", "4")).status, 404);
}

#[test]
fn what_others_saved_meanwhile_is_shown_not_lost() {
    let s = scene();
    let web = s.deploy("web");
    let configuration = format!("{web}/configuration");
    let base = hidden(&s.page(&configuration), "base");
    s.post(&s.alice, &format!("{web}/scale"), &[("component", "main"), ("replicas", "4")]);
    let typed = [
        ("view", "form"),
        ("base", base.as_str()),
        ("image", "nginx:2"),
        ("replicas", "2"),
        ("port", "8080"),
        ("expose", "None"),
        ("strategy", "Rolling"),
    ];
    let conflict = s.post(&s.alice, &configuration, &typed);
    assert_eq!(conflict.status, 409);
    assert!(conflict.html.contains("Somebody changed this app meanwhile"), "{}", conflict.html);
    assert!(conflict.html.contains("value=\"nginx:2\""), "what was typed is kept: {}", conflict.html);
    assert!(conflict.html.contains("name=\"replicas\" value=\"4\""), "what was not touched follows: {}", conflict.html);
    assert_eq!(s.spec("web")["components"][0]["image"], "nginx:1.27", "nothing is changed by a conflict");
    let base = hidden(&conflict.html, "base");
    let again = [
        ("view", "form"),
        ("base", base.as_str()),
        ("image", "nginx:2"),
        ("replicas", "4"),
        ("port", "8080"),
        ("expose", "None"),
        ("strategy", "Rolling"),
    ];
    assert_eq!(s.post(&s.alice, &configuration, &again).status, 303);
    assert_eq!(s.spec("web")["components"][0]["replicas"], 4);
}

#[test]
fn a_visit_to_the_yaml_is_no_conflict() {
    let s = scene();
    let web = s.deploy("web");
    let configuration = format!("{web}/configuration");
    let base = hidden(&s.page(&configuration), "base");
    let to_yaml = [("view", "form"), ("base", base.as_str()), ("image", "nginx:2"), ("to", "yaml")];
    let yaml = s.post(&s.alice, &configuration, &to_yaml).html;
    let text = yaml.split_once("<textarea").unwrap().1.split_once('>').unwrap().1.split_once("</textarea>").unwrap().0;
    let text = text.trim_start().replace("replicas: 2", "replicas: 2\n    command:\n    - serve");
    let base = hidden(&yaml, "base");
    let form =
        s.post(&s.alice, &configuration, &[("view", "yaml"), ("base", &base), ("yaml", &text), ("to", "form")]).html;
    assert!(form.contains("value=\"nginx:2\""), "{form}");
    let (base, seen) = (hidden(&form, "base"), hidden(&form, "seen"));
    let typed = |replicas| [("view", "form"), ("base", base.as_str()), ("seen", seen.as_str()), ("replicas", replicas)];
    // Somebody else is faster: nothing of what was typed anywhere is lost.
    s.post(&s.alice, &format!("{web}/scale"), &[("component", "main"), ("replicas", "5")]);
    let conflict = s.post(&s.alice, &configuration, &typed("3"));
    assert_eq!(conflict.status, 409);
    for kept in ["nginx:2", "- serve", "replicas: 3", "+   replicas: 5"] {
        assert!(conflict.html.contains(kept), "{kept} is not in {}", conflict.html);
    }
    s.post(&s.alice, &format!("{web}/scale"), &[("component", "main"), ("replicas", "2")]);
    let saved = s.post(&s.alice, &configuration, &typed("3"));
    assert_eq!(saved.status, 303, "{}", saved.html);
    let main = &s.spec("web")["components"][0];
    assert_eq!(
        (&main["image"], &main["replicas"], &main["command"][0]),
        (&"nginx:2".into(), &3.into(), &"serve".into())
    );
}

#[test]
fn a_status_that_moves_is_no_conflict() {
    let s = scene();
    let web = s.deploy("web");
    let base = hidden(&s.page(&format!("{web}/configuration")), "base");
    s.world.cluster.set_status(&app_of(&s.namespace, "web"), &with_cause(CauseCode::ImagePull).status);
    let typed = [
        ("view", "form"),
        ("base", base.as_str()),
        ("image", "nginx:2"),
        ("replicas", "2"),
        ("port", "8080"),
        ("expose", "None"),
        ("strategy", "Rolling"),
    ];
    assert_eq!(s.post(&s.alice, &format!("{web}/configuration"), &typed).status, 303);
}

#[test]
fn rights() {
    let s = scene();
    let web = s.deploy("web");
    for path in ["scale", "suspend", "delete", "rollback"].map(|deed| format!("{web}/{deed}")) {
        assert_eq!(s.get(&s.victor, &path, &[]).status, 403, "{path}");
    }
    for action in ["scale", "delete", "rollback", "restart", "suspend", "configuration", "yaml"] {
        let form = [("name", "web"), ("replicas", "0"), ("revision", "1"), ("component", "main"), ("image", "evil:1")];
        let refused = s.post(&s.victor, &format!("{web}/{action}"), &form);
        assert_eq!(refused.status, 403, "{action}: {}", refused.html);
        assert_eq!(s.post(&s.mallory, &format!("{web}/{action}"), &form).status, 404, "{action}");
    }
    assert_eq!(s.get(&s.victor, &format!("{APPS}/new"), &[]).status, 403);
    let looks = s.get(&s.victor, &format!("{web}/configuration"), &[]).html;
    assert!(looks.contains("Your role can look.") && looks.contains("<fieldset disabled class=\"stack\">"), "{looks}");
    let form = looks.split_once("<fieldset").unwrap().1.split_once("</fieldset>").unwrap().0;
    assert!(form.contains("value=\"nginx:1.27\"") && !form.contains("<button"), "{form}");
    let yaml = s.get(&s.victor, &format!("{web}/yaml"), &[]).html;
    assert!(yaml.contains("image: nginx:1.27") && !yaml.contains("<textarea"), "{yaml}");
    assert_eq!(s.get(&s.mallory, &web, &[]).status, 404);
}

#[test]
fn who_was_signed_out_meanwhile_keeps_what_was_typed() {
    let s = scene();
    let nobody = OpCtx::anonymous(s.world.services.clock().clone(), "test", "192.0.2.1");
    let typed = [("view", "form"), ("name", "web"), ("env", "A=<1>")];
    let ended = s.post(&nobody, &format!("{APPS}/new"), &typed);
    assert_eq!((ended.status, ended.redirect), (401, None));
    for kept in [
        "name=\"name\" value=\"web\"",
        "name=\"env\" value=\"A=&lt;1&gt;\"",
        "action=\"/t/payments/n/staging/apps/new\"",
    ] {
        assert!(ended.html.contains(kept), "{kept}: {}", ended.html);
    }
    // No page keeps a password.
    let secret = s.post(&nobody, "/account", &[("current", "a"), ("new", "b"), ("again", "b")]);
    assert_eq!((secret.status, secret.redirect.as_deref()), (303, Some("/sign-in?next=/account")));
}

#[test]
fn a_document_for_another_namespace_is_refused() {
    let s = scene();
    let text = |namespace: &str| {
        format!(
            "apiVersion: berth.dev/v1alpha1\nkind: App\nmetadata: {{name: web, namespace: {namespace}}}\nspec: {{components: [{{name: main, image: nginx:1.27}}]}}\n"
        )
    };
    let refused = s.post(&s.alice, &format!("{APPS}/new"), &[("view", "yaml"), ("yaml", &text("other"))]);
    assert!(refused.status == 422 && refused.html.contains("metadata.namespace"), "{}", refused.html);
    let made = s.post(&s.alice, &format!("{APPS}/new"), &[("view", "yaml"), ("yaml", &text("payments-staging"))]);
    assert_eq!(made.status, 303, "{}", made.html);
}

#[test]
fn a_cluster_that_does_not_answer_leaves_the_pages() {
    let s = scene();
    let web = s.deploy("web");
    s.world.cluster.set_down(Some("connection refused"));
    for path in [APPS.to_owned(), web.clone(), format!("{web}/pods"), format!("{web}/logs"), format!("{web}/revisions")]
    {
        let html = s.page(&path);
        assert!(html.contains("The cluster does not answer."), "{path} does not say how old it is: {html}");
    }
    let base = hidden(&s.page(&format!("{web}/configuration")), "base");
    let typed = [
        ("view", "form"),
        ("base", base.as_str()),
        ("image", "nginx:2"),
        ("replicas", "2"),
        ("port", "8080"),
        ("expose", "None"),
        ("strategy", "Rolling"),
    ];
    let refused = s.post(&s.alice, &format!("{web}/configuration"), &typed);
    assert!(refused.status == 503 && refused.html.contains("value=\"nginx:2\""), "{} {}", refused.status, refused.html);
}

#[test]
fn pages_say_that_changes_wait() {
    let s = scene();
    let web = s.deploy("web");
    s.world.cluster.set_idle(true);
    for path in ["/".to_owned(), APPS.to_owned(), web.clone(), format!("{web}/pods")] {
        let html = s.page(&path);
        assert!(html.contains("No replica of Berth works on this cluster"), "{path} does not say it: {html}");
    }
    s.world.cluster.set_idle(false);
    assert!(!s.page(&web).contains("No replica of Berth"));
}

#[test]
fn pages_follow_the_cluster() {
    let s = scene();
    let web = s.deploy("web");
    let request = PageRequest { path: web, ..PageRequest::default() };
    let mut stream = block_on(s.pages.live(&s.alice, request)).unwrap();
    let first = block_on(stream.next()).unwrap().unwrap();
    let ids: Vec<_> = first.iter().map(|f| f.id.as_str()).collect();
    assert_eq!(
        ids,
        ["app-state", "app-do", "app-finding", "app-pods", "app-lines", "app-history", "app-addresses", "stale"]
    );
    assert!(stream.next().now_or_never().is_none(), "nothing changed yet");

    s.world.cluster.put_pod(PodRow {
        app: Some("web".into()),
        ..pod("web-5d4f8c7b9-00000", PodPhase::Failing, "CrashLoopBackOff")
    });
    let mut next = None;
    // On the clock: well within the 300 ms that a click may take to be seen.
    for _ in 0..30 {
        next = stream.next().now_or_never();
        if next.is_some() {
            break;
        }
        s.world.clock.advance(std::time::Duration::from_millis(10));
    }
    let changed = next.unwrap().unwrap().unwrap();
    assert_eq!(changed.iter().map(|f| f.id.as_str()).collect::<Vec<_>>(), ["app-pods"]);
    assert!(changed[0].html.contains("CrashLoopBackOff"));
}

#[test]
fn the_pods_of_a_namespace_are_found_sorted_and_followed() {
    const PODS: &str = "/t/payments/n/staging/pods";
    let s = scene();
    assert!(s.page(PODS).contains("No pods here yet"));
    s.deploy("web");
    s.world
        .cluster
        .put_pod(PodRow { app: Some("mailer".into()), ..pod("mailer-1", PodPhase::Failing, "CrashLoopBackOff") });
    let at = |html: &str, name: &str| html.find(&format!("/pods/{name}\"")).unwrap_or_else(|| panic!("{name}: {html}"));
    let html = s.page(PODS);
    assert!(at(&html, "mailer-1") < at(&html, "web-5d4f8c7b9-00000"), "who needs help comes first");
    assert!(html.contains(&format!("href=\"{PODS}\" aria-current=\"page\"")), "where one is: {html}");
    assert!(html.contains(&format!("href=\"{APPS}/mailer\"")), "the way to its app: {html}");
    let names = |query: &[(&str, &str)]| {
        let html = s.get(&s.victor, PODS, query).html;
        (html.contains("/pods/mailer-1\""), html.contains("/pods/web-5d4f8c7b9-00000\""))
    };
    assert_eq!(names(&[("phase", "failing")]), (true, false));
    assert_eq!(names(&[("q", "web")]), (false, true));
    assert_eq!(names(&[("app", "mailer")]), (true, false));
    let sorted = s.get(&s.alice, PODS, &[("sort", "-name")]).html;
    assert!(at(&sorted, "web-5d4f8c7b9-00001") < at(&sorted, "web-5d4f8c7b9-00000"), "{sorted}");
    for column in ["name", "phase", "reason", "app", "restarts", "node", "created"] {
        assert_eq!(s.get(&s.alice, PODS, &[("sort", column)]).status, 200, "{column}");
    }
    // An app's own list shows no other's, whatever the URL says.
    let own = s.get(&s.alice, &format!("{APPS}/web/pods"), &[("app", "mailer")]).html;
    assert!(!own.contains("/pods/mailer-1\""), "{own}");
    assert_eq!(s.get(&s.mallory, PODS, &[]).status, 404);

    let request = PageRequest { path: PODS.to_owned(), ..PageRequest::default() };
    let mut stream = block_on(s.pages.live(&s.alice, request)).unwrap();
    let ids: Vec<_> = block_on(stream.next()).unwrap().unwrap().into_iter().map(|f| f.id).collect();
    assert_eq!(ids, ["pods-chips", "pods-rows", "stale"]);
}
