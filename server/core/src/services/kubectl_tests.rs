//! Kubeconfigs, and what is asked with them: who may, what is handed on, what the audit log has.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use berth_types::{
    Action, ErrorCode, PlatformRole, Resource, Right, TenantRole,
    people::{TokenPurpose, TokenScope},
};
use bytes::Bytes;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use super::kubectl::KUBECONFIG_HOURS;
use crate::{
    Error, OpCtx, Result,
    kube_path::{self, KubeAsk},
    kubeconfig::Kubeconfig,
    ports::relay::{KubeReply, KubeRequest},
    testing::World,
};

const APPS: &str = "/apis/berth.dev/v1alpha1/namespaces/shop-dev/apps";

/// `shop` with `dev` and `prod`, of `olga` (owner), `dan` (developer), `vera` (viewer), and `gus`, who may deploy in `dev`
/// alone; `bank` of `bert`, with `vault`; `root` and `audrey` keep the platform.
async fn scene() -> World {
    let world = World::new();
    world.person("root", Some(PlatformRole::Admin)).await;
    world.person("audrey", Some(PlatformRole::Auditor)).await;
    for name in ["olga", "dan", "vera", "gus", "bert"] {
        world.person(name, None).await;
    }
    let members = [("olga", TenantRole::Owner), ("dan", TenantRole::Developer), ("vera", TenantRole::Viewer)];
    let shop = world.tenant("shop", &members).await;
    let bank = world.tenant("bank", &[("bert", TenantRole::Owner)]).await;
    world.namespace(&shop, "dev").await;
    world.namespace(&shop, "prod").await;
    world.namespace(&bank, "vault").await;
    let (olga, dev) = (world.ctx("olga").await, "dev".parse().unwrap());
    let gus = "gus".parse().unwrap();
    world.services.set_namespace_member(&olga, (&shop.name, &dev), &gus, TenantRole::Developer).await.unwrap();
    world
}

async fn made(world: &World, ctx: &OpCtx, namespace: Option<&str>, hours: u32) -> Result<Kubeconfig> {
    let namespace = namespace.map(|name| name.parse().unwrap());
    world.services.create_kubeconfig(ctx, &"shop".parse().unwrap(), namespace.as_ref(), hours).await
}

/// Somebody as their kubeconfig lets them in.
async fn with_kubeconfig(world: &World, who: &str, namespace: Option<&str>) -> OpCtx {
    let ctx = world.ctx(who).await;
    let made = made(world, &ctx, namespace, 8).await.unwrap();
    let secret = made.secret.expose_secret();
    let person = world.services.authenticate_for(TokenPurpose::Kubectl, ctx.now(), secret).await.unwrap().unwrap();
    world.services.as_person(&ctx, person)
}

fn read(method: &str, uri: &str) -> (KubeAsk, String, String) {
    let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
    (kube_path::read(method, path, query).unwrap(), path.to_owned(), query.to_owned())
}

async fn ask(world: &World, ctx: &OpCtx, request: &str, body: &Value) -> Result<KubeReply> {
    let (method, uri) = request.split_once(' ').unwrap();
    let (ask, path, query) = read(method, uri);
    let body = if body.is_null() { Bytes::new() } else { body.to_string().into() };
    let headers = vec![("accept".to_owned(), "application/json;as=Table".to_owned())];
    let request = KubeRequest { method: method.to_owned(), path, query, headers, body, patient: false };
    world.services.kubectl(ctx, &"local".parse().unwrap(), &ask, request).await
}

fn app(image: &str, host: Option<&str>) -> Value {
    let mut component = json!({ "name": "main", "image": image, "ports": [{ "port": 8080 }] });
    if let Some(host) = host {
        component["expose"] = json!({ "type": "Ingress", "host": host });
    }
    json!({ "apiVersion": "berth.dev/v1alpha1", "kind": "App", "metadata": { "name": "web" },
        "spec": { "components": [component] } })
}

fn code<T>(result: Result<T>) -> Option<ErrorCode> {
    result.err().map(|e: Error| e.code())
}

/// What the audit log has of kubectl, oldest first.
fn log(world: &World) -> Vec<String> {
    let entries = world.store.audit().into_iter().filter(|e| e.action.starts_with("kubectl."));
    entries.map(|e| format!("{} {} {} {}", e.actor, e.action, e.target, e.outcome)).collect()
}

#[tokio::test]
async fn a_kubeconfig_leads_where_its_owner_may_go_and_ends() {
    let world = scene().await;
    let olga = world.ctx("olga").await;
    let whole = made(&world, &olga, None, 8).await.unwrap();
    let yaml = whole.to_yaml("https://berth.example.com");
    for told in [
        "It ends by itself at 2026-11-20 16:00 UTC",
        "current-context: \"shop-dev\"",
        "server: \"https://berth.example.com/k8s/local\"",
        "- name: \"shop-prod\"\n  context:\n    cluster: \"berth-local\"\n    user: \"berth:olga\"\n    namespace: \"shop-prod\"",
        &format!("token: \"{}\"", whole.secret.expose_secret()),
    ] {
        assert!(yaml.contains(told), "{told}: {yaml}");
    }
    assert!(!yaml.contains("plain http") && whole.to_yaml("http://127.0.0.1:8080").contains("plain http"));
    assert_eq!(whole.file_name(), "shop-until-2026-11-20T1600Z.kubeconfig");
    let known = crate::yaml::parse(&yaml).unwrap();
    assert_eq!(known["contexts"].as_array().unwrap().len(), 2);

    let one = made(&world, &olga, Some("prod"), 1).await.unwrap();
    assert_eq!(one.places.len(), 1);
    assert_eq!(one.file_name(), "shop-prod-until-2026-11-20T0900Z.kubeconfig");
    let gus = made(&world, &world.ctx("gus").await, None, 1).await.unwrap();
    assert_eq!(gus.places.iter().map(|place| place.kube_name.as_str()).collect::<Vec<_>>(), ["shop-dev"]);
    for hours in [0, KUBECONFIG_HOURS + 1] {
        let refused = made(&world, &olga, None, hours).await.err().unwrap();
        assert_eq!((refused.code(), refused.fields()[0].field.as_str()), (ErrorCode::Invalid, "hours"));
    }
    for (who, namespace) in [("bert", None), ("gus", Some("prod")), ("olga", Some("nowhere"))] {
        let refused = made(&world, &world.ctx(who).await, namespace, 1).await;
        assert_eq!(code(refused), Some(ErrorCode::NotFound), "{who}");
    }

    let tokens = world.services.my_tokens(&olga).await.unwrap();
    assert_eq!(tokens.len(), 2);
    let found = async |secret: &str| world.services.authenticate_for(TokenPurpose::Kubectl, olga.now(), secret).await;
    let secret = whole.secret.expose_secret();
    assert!(found(secret).await.unwrap().is_some());
    assert_eq!(code(world.services.authenticate_token(olga.now(), secret).await), Some(ErrorCode::Unauthenticated));
    assert_eq!(code(found(&world.token("olga").await).await), Some(ErrorCode::Unauthenticated), "the other way round");
    world.services.revoke_token(&olga, one.token.id).await.unwrap();
    assert!(found(one.secret.expose_secret()).await.unwrap().is_none());
    world.clock.advance(Duration::from_hours(8));
    assert!(found(secret).await.unwrap().is_none(), "over");
}

#[tokio::test]
async fn one_that_a_token_makes_is_no_more_than_that_token() {
    let world = scene().await;
    let olga = world.ctx("olga").await;
    let scope = TokenScope {
        read_only: true,
        tenant: Some("shop".parse().unwrap()),
        namespace: Some("dev".parse().unwrap()),
        ..TokenScope::default()
    };
    let secret = world.token_for("olga", scope.clone(), Duration::from_hours(2)).await;
    let maker = world.services.authenticate_token(olga.now(), &secret).await.unwrap().unwrap();
    let maker = world.services.as_person(&olga, maker);
    let made_by_token = made(&world, &maker, None, 24).await.unwrap();
    assert_eq!(made_by_token.token.scope, scope, "not the whole tenant, and only reading");
    assert_eq!(made_by_token.token.expires_at, olga.now() + jiff::SignedDuration::from_hours(2));
    assert_eq!(code(made(&world, &maker, Some("prod"), 1).await), Some(ErrorCode::NotFound));

    let kubectl = made_by_token.secret.expose_secret();
    let person = world.services.authenticate_for(TokenPurpose::Kubectl, olga.now(), kubectl).await.unwrap().unwrap();
    let kubectl_ctx = world.services.as_person(&olga, person);
    assert!(ask(&world, &kubectl_ctx, &format!("GET {APPS}"), &Value::Null).await.is_ok());
    let refused =
        ask(&world, &kubectl_ctx, "DELETE /api/v1/namespaces/shop-dev/pods/p", &Value::Null).await.unwrap_err();
    assert!(refused.message().contains("read-only"), "{refused}");

    let maker = world.services.my_tokens(&olga).await.unwrap().into_iter().find(|t| t.purpose == TokenPurpose::Api);
    world.services.revoke_token(&olga, maker.unwrap().id).await.unwrap();
    let gone = world.services.authenticate_for(TokenPurpose::Kubectl, olga.now(), kubectl).await.unwrap();
    assert!(gone.is_none(), "it ended with the one that made it");
}

#[tokio::test]
async fn one_that_a_limited_token_makes_is_limited_alike() {
    let world = scene().await;
    let olga = world.ctx("olga").await;
    let looking = Right { resource: Resource::App, action: Action::Read };
    let scope = TokenScope { actions: vec![looking], ..TokenScope::default() };
    let secret = world.token_for("olga", scope, Duration::from_hours(2)).await;
    let maker = world.services.authenticate_token(olga.now(), &secret).await.unwrap().unwrap();
    let actions = maker.scope.actions.clone();
    let made = made(&world, &world.services.as_person(&olga, maker), None, 1).await.unwrap();
    assert_eq!(made.token.scope.actions, actions);

    let kubectl = made.secret.expose_secret();
    let person = world.services.authenticate_for(TokenPurpose::Kubectl, olga.now(), kubectl).await.unwrap().unwrap();
    let ctx = world.services.as_person(&olga, person);
    assert!(ask(&world, &ctx, &format!("GET {APPS}"), &Value::Null).await.is_ok());
    for refused in ["DELETE /api/v1/namespaces/shop-dev/pods/p", "POST /api/v1/namespaces/shop-dev/pods/p/exec"] {
        let refused = ask(&world, &ctx, refused, &Value::Null).await.unwrap_err();
        assert!(refused.message().contains("limited to other actions"), "{refused}");
    }
}

#[tokio::test]
async fn it_is_asked_as_the_person_with_their_groups_there() {
    let world = scene().await;
    for (who, namespace, request, groups) in [
        ("dan", None, format!("GET {APPS}?watch=true"), vec!["berth:tenant:shop:developer"]),
        ("gus", None, format!("GET {APPS}"), vec!["berth:namespace:shop:dev:developer"]),
        ("root", None, format!("GET {APPS}"), vec!["berth:platform:admin"]),
        ("gus", None, "GET /apis".to_owned(), vec!["berth:namespace:shop:dev:developer"]),
        ("vera", Some("dev"), "GET /api/v1?timeout=32s".to_owned(), vec!["berth:tenant:shop:viewer"]),
    ] {
        let ctx = with_kubeconfig(&world, who, namespace).await;
        ask(&world, &ctx, &request, &Value::Null).await.unwrap();
        let (asked_as, sent) = world.cluster.relayed().pop().unwrap();
        assert_eq!(
            (asked_as.user, asked_as.groups),
            (format!("berth:{who}"), groups.into_iter().map(str::to_owned).collect())
        );
        let uri = if sent.query.is_empty() { sent.path } else { format!("{}?{}", sent.path, sent.query) };
        assert_eq!(format!("{} {uri}", sent.method), request, "as it came");
    }
    assert!(log(&world).is_empty(), "looking is not written down");
}

#[tokio::test]
async fn what_is_not_theirs_is_refused_before_the_cluster_is_asked() {
    let world = scene().await;
    let (olga, dan) = (with_kubeconfig(&world, "olga", None).await, with_kubeconfig(&world, "dan", None).await);
    let (vera, root) = (with_kubeconfig(&world, "vera", None).await, with_kubeconfig(&world, "root", None).await);
    let (gus, only_dev) =
        (with_kubeconfig(&world, "gus", None).await, with_kubeconfig(&world, "dan", Some("dev")).await);
    let ns = "/api/v1/namespaces/shop-dev";
    for (ctx, request) in [
        // Another tenant's, a namespace that is not there, the cluster's own; also by the ways round.
        (&olga, "GET /api/v1/namespaces/bank-vault/pods".to_owned()),
        (&olga, "GET /api/v1/namespaces/nowhere/pods".to_owned()),
        (&olga, "GET /api/v1/namespaces/kube-system/secrets".to_owned()),
        (&olga, "GET /api/v1/watch/namespaces/bank-vault/pods".to_owned()),
        (&olga, "GET /api/v1/namespaces/SHOP-DEV/pods".to_owned()),
        (&olga, "GET /api/v1/namespaces/bank-vault".to_owned()),
        (&olga, "PUT /api/v1/namespaces/bank-vault/finalize".to_owned()),
        (&gus, "GET /api/v1/namespaces/shop-prod/pods".to_owned()),
        (&only_dev, "GET /api/v1/namespaces/shop-prod/pods".to_owned()),
        // All of the cluster.
        (&olga, "GET /api/v1/pods".to_owned()),
        (&olga, "GET /api/v1/namespaces".to_owned()),
        (&olga, "POST /api/v1/namespaces".to_owned()),
        (&olga, "GET /api/v1/nodes/n1/proxy/pods".to_owned()),
        (&olga, "GET /apis/berth.dev/v1alpha1/apps?watch=true".to_owned()),
        (&olga, "POST /apis/rbac.authorization.k8s.io/v1/clusterrolebindings".to_owned()),
        (&olga, "POST /apis/authorization.k8s.io/v1/subjectaccessreviews".to_owned()),
        (&root, "PATCH /api/v1/nodes/n1".to_owned()),
        (&root, "GET /metrics".to_owned()),
        (&olga, "GET /".to_owned()),
        // What the matrix gives to others.
        (&vera, format!("GET {ns}/pods/p/exec?command=sh")),
        (&vera, format!("GET {ns}/pods/p/attach")),
        (&vera, format!("POST {ns}/pods/p/portforward")),
        (&vera, format!("GET {ns}/pods/p/proxy/x")),
        (&vera, format!("GET {ns}/services/s/proxy")),
        (&vera, format!("DELETE {ns}/pods/p")),
        (&vera, format!("POST {ns}/pods/p/eviction")),
        (&vera, format!("PATCH {APPS}/web")),
        (&root, format!("POST {ns}/pods/p/eviction")),
        (&root, format!("GET {ns}/pods/p/log")),
        (&root, format!("DELETE {ns}/pods/p")),
        (&root, format!("GET {ns}/pods/p/exec")),
    ] {
        let refused = ask(&world, ctx, &request, &Value::Null).await.expect_err(&request);
        assert_eq!(refused.code(), ErrorCode::Forbidden, "{request}: {refused}");
        assert!(refused.message().contains("forbidden: User \"berth:"), "{request}: {refused}");
        assert!(world.cluster.relayed().is_empty(), "{request} reached the cluster");
    }
    // Absent and invisible answer alike, but for the name.
    let said = async |name: &str| {
        let refused =
            ask(&world, &dan, &format!("GET /api/v1/namespaces/{name}/pods/p"), &Value::Null).await.unwrap_err();
        refused.message().replace(name, "NAME")
    };
    assert_eq!(said("bank-vault").await, said("bank-vaulx").await);
    let other: berth_types::ClusterId = "other".parse().unwrap();
    let (asked, ..) = read("GET", APPS);
    assert_eq!(code(world.services.kubectl_may(&dan, &other, &asked).await), Some(ErrorCode::NotFound));
    // An API token or a browser is no kubeconfig, whatever it may.
    let browser = world.ctx("dan").await;
    assert_eq!(code(ask(&world, &browser, "GET /apis", &Value::Null).await), Some(ErrorCode::Unauthenticated));
}

#[tokio::test]
async fn changes_are_in_the_audit_log_with_what_came_of_them() {
    let world = scene().await;
    let (dan, vera) = (with_kubeconfig(&world, "dan", None).await, with_kubeconfig(&world, "vera", None).await);
    let ns = "/api/v1/namespaces/shop-dev";
    let pod = json!({ "metadata": { "name": "x" } });
    ask(&world, &dan, &format!("DELETE {ns}/pods/p?dryRun=All"), &Value::Null).await.unwrap();
    world.cluster.answer_next(403, "{\"kind\":\"Status\"}");
    assert_eq!(
        ask(&world, &dan, &format!("POST {ns}/pods"), &pod).await.unwrap().status,
        403,
        "the cluster's own words"
    );
    world.cluster.answer_next(409, "{}");
    ask(&world, &dan, "PUT /apis/apps/v1/namespaces/shop-dev/deployments/web/scale", &pod).await.unwrap();
    ask(&world, &dan, &format!("GET {ns}/pods/p/exec?container=main&command=sh&command=-c"), &Value::Null)
        .await
        .unwrap();
    ask(&world, &vera, &format!("GET {ns}/pods/p/exec"), &Value::Null).await.unwrap_err();
    ask(&world, &dan, "DELETE /api/v1/namespaces/bank-vault/pods/p", &Value::Null).await.unwrap_err();
    ask(&world, &dan, "DELETE /api/v1/nodes/n1", &Value::Null).await.unwrap_err();
    world.cluster.set_down(Some("off"));
    assert_eq!(
        code(ask(&world, &dan, &format!("DELETE {ns}/pods/p"), &Value::Null).await),
        Some(ErrorCode::ClusterUnavailable)
    );
    assert_eq!(
        log(&world),
        [
            "dan kubectl.delete shop-dev/pods/p done",
            "dan kubectl.create shop-dev/pods/x denied",
            "dan kubectl.update shop-dev/deployments.apps/web/scale failed",
            "dan kubectl.exec shop-dev/pods/p/exec done",
            "vera kubectl.exec shop-dev/pods/p/exec denied",
            "dan kubectl.delete bank-vault/pods/p denied",
            "dan kubectl.delete /nodes/n1 denied",
            "dan kubectl.delete shop-dev/pods/p failed",
        ]
    );
    let entries = world.store.audit();
    let with = |action: &str| entries.iter().find(|e| e.action == action).unwrap();
    assert_eq!(
        with("kubectl.exec").detail,
        Some(json!({ "cluster": "local", "container": "main", "command": ["sh", "-c"] }))
    );
    assert_eq!(with("kubectl.delete").detail, Some(json!({ "cluster": "local", "dryRun": true })));
    assert_eq!(with("kubectl.exec").tenant.as_ref().map(ToString::to_string).as_deref(), Some("shop"));
    // Nothing is handed on that cannot be written down.
    world.cluster.set_down(None);
    world.cluster.relayed();
    world.store.set_down(true);
    assert!(ask(&world, &dan, &format!("DELETE {ns}/pods/p"), &Value::Null).await.is_err());
    assert!(world.cluster.relayed().is_empty());
}

#[tokio::test]
async fn a_tenant_at_rest_is_looked_at_and_not_changed() {
    let world = scene().await;
    let dan = with_kubeconfig(&world, "dan", None).await;
    let root = world.ctx("root").await;
    world.services.suspend_tenant(&root, &"shop".parse().unwrap(), "unpaid").await.unwrap();
    let ns = "/api/v1/namespaces/shop-dev";
    ask(&world, &dan, &format!("GET {ns}/pods"), &Value::Null).await.unwrap();
    world.cluster.relayed();
    for request in [format!("POST {APPS}"), format!("DELETE {ns}/pods/p"), format!("GET {ns}/pods/p/exec")] {
        let refused = ask(&world, &dan, &request, &app("a:1", None)).await.unwrap_err();
        assert_eq!(refused.code(), ErrorCode::Suspended, "{request}");
        assert!(refused.message().contains("unpaid") && refused.message().contains("root"), "{refused}");
    }
    assert!(world.cluster.relayed().is_empty(), "the cluster was not asked");
}

#[tokio::test]
async fn a_role_that_is_gone_counts_with_the_next_request() {
    let world = scene().await;
    let (dan, olga) = (with_kubeconfig(&world, "dan", None).await, world.ctx("olga").await);
    let (asked, ..) = read("GET", &format!("{APPS}?watch=true"));
    let local = "local".parse().unwrap();
    world.services.kubectl_may(&dan, &local, &asked).await.unwrap();
    world.services.remove_member(&olga, &"shop".parse().unwrap(), &"dan".parse().unwrap()).await.unwrap();
    assert_eq!(code(world.services.kubectl_may(&dan, &local, &asked).await), Some(ErrorCode::Forbidden));
    let refused = ask(&world, &dan, "GET /apis", &Value::Null).await;
    // As nobody in no group: what the cluster's adapter refuses.
    assert!(refused.is_err() || world.cluster.relayed().pop().unwrap().0.groups.is_empty());
}

#[tokio::test]
async fn an_app_is_looked_at_as_one_that_is_written_in_the_portal() {
    let world = scene().await;
    let (dan, bert) = (with_kubeconfig(&world, "dan", None).await, world.ctx("bert").await);
    let taken = app("a:1", Some("www.example.com"));
    let (bank, vault) = ("bank".parse().unwrap(), "vault".parse().unwrap());
    world.services.create_app(&bert, (&bank, &vault), "site", &taken["spec"]).await.unwrap();

    let fine =
        ask(&world, &dan, &format!("POST {APPS}?fieldManager=kubectl"), &app("a:1", Some("shop.example.com"))).await;
    assert_eq!(fine.unwrap().status, 200);
    let sent: Vec<String> = world.cluster.relayed().into_iter().map(|(_, request)| request.query).collect();
    assert_eq!(sent, ["fieldManager=kubectl&dryRun=All", "fieldManager=kubectl"], "tried, then done");

    for (body, field) in [(taken, "host"), (app("HTTP://x", None), "image")] {
        for request in [format!("POST {APPS}"), format!("PUT {APPS}/web"), format!("PATCH {APPS}/web?dryRun=All")] {
            let refused = ask(&world, &dan, &request, &body).await.expect_err(&request);
            assert_eq!(refused.code(), ErrorCode::Invalid, "{request}");
            assert!(refused.fields().iter().any(|f| f.field.contains(field)), "{:?}", refused.fields());
            let handed_on = world.cluster.relayed();
            assert!(handed_on.iter().all(|(_, r)| r.query.contains("dryRun=All")), "{request} was only tried");
        }
    }
    // However dryRun is written, the trial is one: anything but `All` beside it is the cluster's to refuse.
    for query in ["dryRun=", "dryRun=None", "dryRun=All&dryRun=None", "dry%52un=x"] {
        let _ = ask(&world, &dan, &format!("POST {APPS}?{query}"), &app("HTTP://x", None)).await;
        let tried = world.cluster.relayed();
        assert_eq!(tried.len(), 1, "{query}");
        assert!(tried[0].1.query.ends_with("dryRun=All"), "{query}");
    }
    // What the cluster refuses when it is tried is its answer.
    world.cluster.answer_next(422, "{\"kind\":\"Status\",\"message\":\"no\"}");
    let refused = ask(&world, &dan, &format!("POST {APPS}"), &app("a:1", None)).await.unwrap();
    assert_eq!((refused.status, world.cluster.relayed().len()), (422, 1));
    let mut named = app("a:1", None);
    named["metadata"]["name"] = "a.b".into();
    let refused = ask(&world, &dan, &format!("POST {APPS}"), &named).await.unwrap_err();
    assert_eq!(refused.fields()[0].field, "metadata.name");
}

/// What is changed in Berth alone is read with `kubectl`, by whomever; the log has who tried.
#[tokio::test]
async fn a_protected_namespace_is_only_read() {
    let world = scene().await;
    let [shop, dev]: [&str; 2] = ["shop", "dev"];
    let (shop, dev) = (shop.parse().unwrap(), dev.parse().unwrap());
    let set = async |who: &str, on| world.services.protect_namespace(&world.ctx(who).await, &shop, &dev, on).await;
    for (who, want) in [("dan", ErrorCode::Forbidden), ("gus", ErrorCode::Forbidden), ("bert", ErrorCode::NotFound)] {
        assert_eq!(code(set(who, true).await), Some(want), "{who}");
    }
    let web = format!("{APPS}/web");
    let shell = "/api/v1/namespaces/shop-dev/pods/web-1/exec?command=sh";
    let elsewhere = APPS.replace("shop-dev", "shop-prod");
    let [olga, dan] = [with_kubeconfig(&world, "olga", None).await, with_kubeconfig(&world, "dan", None).await];
    assert!(ask(&world, &dan, &format!("POST {APPS}"), &app("web:1", None)).await.is_ok());
    assert!(set("olga", true).await.unwrap().protected);
    for ctx in [&olga, &dan] {
        for request in [format!("POST {APPS}"), format!("PATCH {web}"), format!("DELETE {web}"), format!("GET {shell}")]
        {
            let refused = ask(&world, ctx, &request, &app("web:2", None)).await.err().unwrap();
            assert_eq!(refused.code(), ErrorCode::Forbidden, "{request}");
            let why = refused.message();
            assert!(
                why.contains("is forbidden: User")
                    && why.ends_with("shop/dev is protected, and is changed in Berth alone"),
                "{why}"
            );
        }
        assert!(ask(&world, ctx, &format!("GET {web}"), &Value::Null).await.is_ok());
        assert!(ask(&world, ctx, &format!("POST {elsewhere}"), &app("web:1", None)).await.is_ok());
    }
    assert!(
        log(&world).contains(&"dan kubectl.delete shop-dev/apps.berth.dev/web denied".to_owned()),
        "{:?}",
        log(&world)
    );
    // A stream that is open asks again and again.
    let (asked, ..) = read("GET", shell);
    assert_eq!(
        code(world.services.kubectl_may(&dan, &"local".parse().unwrap(), &asked).await),
        Some(ErrorCode::Forbidden)
    );
    assert!(!set("olga", false).await.unwrap().protected);
    assert!(ask(&world, &dan, &format!("DELETE {web}"), &Value::Null).await.is_ok());
    let entries =
        world.store.audit().into_iter().filter(|e| e.action == "namespace.protect" && e.outcome.as_str() == "done");
    assert_eq!(entries.count(), 2);
}
