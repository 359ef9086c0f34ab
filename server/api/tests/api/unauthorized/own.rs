//! Roles that a tenant made, and what they give.

use berth_core::{
    authz::{Rights, matrix::needs},
    roles::choices,
};
use berth_types::{Right, TenantRole};

/// What the roles that `shop` made hold: chosen, and, of `chance`, drawn.
pub(super) fn own_actions(role: &str) -> Vec<Right> {
    let words: &[&str] = match role {
        "releaser" => &["app.update"],
        "splitter" => &["share.update", "share.delete", "namespace.create", "network.update", "exec.create"],
        "chance" => {
            let mut seed: u64 = std::env::var("BERTH_SEED").map_or(7, |text| text.parse().unwrap());
            return choices()
                .filter(|_| {
                    seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    (seed >> 33).is_multiple_of(3)
                })
                .chain(["log.read".parse().unwrap()])
                .collect();
        }
        _ => &["log.read"],
    };
    words.iter().map(|word| word.parse().unwrap()).collect()
}

/// What a role gives, told here a second time: what it holds, what that needs, and what everybody may who belongs to a tenant.
pub(super) fn gives(role: TenantRole) -> Rights {
    if !role.is_custom() {
        return Rights::from(Some(role));
    }
    let actions = own_actions(role.as_str());
    let along: Vec<Right> = actions.iter().flat_map(|right| needs(*right)).collect();
    let belonging = ["tenant.read", "access.create"].map(|word| word.parse().unwrap());
    actions.into_iter().chain(along).chain(belonging).collect()
}

pub(super) fn own(role: &str) -> TenantRole {
    TenantRole::from_word(role).unwrap()
}
