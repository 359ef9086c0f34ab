//! People of a portal that runs in the test's own process.

use berth_core::{
    OpCtx, Services,
    services::{identity::SignedIn, people::NewUser},
};
use berth_types::{PlatformRole, people::User};

/// Who is not signed in.
pub fn nobody(services: &Services) -> OpCtx {
    OpCtx::anonymous(services.clock().clone(), "test", "192.0.2.1")
}

/// Somebody new who has signed in and chosen a password.
pub async fn person(services: &Services, name: &str, platform_role: Option<PlatformRole>) -> (User, SignedIn) {
    let system = OpCtx::system(services.clock().clone(), "test");
    let new = NewUser { name: name.into(), display_name: String::new(), platform_role, password: None };
    let (user, password) = services.create_user(&system, &new).await.unwrap();
    let nobody = nobody(services);
    let first = services.sign_in(&nobody, name, &password, "test").await.unwrap().session().unwrap();
    let own = services.as_person(&nobody, first.person);
    (user, services.change_password(&own, &password, &"correct horse battery".into(), "test").await.unwrap())
}
