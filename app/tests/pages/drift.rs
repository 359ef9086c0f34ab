//! What somebody changed that Berth keeps, on the namespace's page.

use berth_core::{ports::drifts::Drifted, testing::World};
use berth_types::{TenantRole, drift::DriftKind};

use crate::common::get;

const DEV: &str = "/t/shop/n/dev";

#[tokio::test]
async fn what_was_put_right_is_shown() {
    let world = World::new();
    for name in ["olga", "vera"] {
        world.person(name, None).await;
    }
    let shop = world.tenant("shop", &[("olga", TenantRole::Owner), ("vera", TenantRole::Viewer)]).await;
    let dev = world.namespace(&shop, "dev").await;
    let vera = world.ctx("vera").await;
    world.services.reconcile_namespaces().await.unwrap();
    let quiet = get(&world, &vera, DEV).await.html;
    assert!(!quiet.contains("Put right by Berth"), "{quiet}");

    let by_hand = Drifted {
        object: "NetworkPolicy berth-deny".to_owned(),
        kind: DriftKind::Changed,
        by: Some("kubectl-<edit>".to_owned()),
    };
    let gone = Drifted { kind: DriftKind::Missing, by: None, ..by_hand.clone() };
    for times in 1..=5 {
        world.cluster.drift(&dev, vec![by_hand.clone(), gone.clone()]);
        world.services.reconcile_namespaces().await.unwrap();
        let page = get(&world, &vera, DEV).await.html;
        for told in
            ["Put right by Berth", "NetworkPolicy berth-deny", "kubectl-&lt;edit&gt;", "Removed", "Nobody knows"]
        {
            assert!(page.contains(told), "{told}: {page}");
        }
        // Five times is no accident.
        assert_eq!(page.contains("again and again"), times == 5, "{times}");
    }

    world.cluster.set_foreign(&dev, true);
    world.services.reconcile_namespaces().await.unwrap();
    let page = get(&world, &vera, DEV).await.html;
    assert!(page.contains("Berth cannot keep this namespace"), "{page}");
}
