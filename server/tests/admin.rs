//! `berth admin` as somebody at a shell uses it.
#![allow(clippy::unwrap_used, missing_docs)]

use std::{path::Path, process::Command};

fn admin(data: &Path, args: &[&str]) -> Result<String, String> {
    let out =
        Command::new(env!("CARGO_BIN_EXE_berth")).arg("admin").args(args).arg("--data").arg(data).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if out.status.success() { Ok(text(&out.stdout)) } else { Err(text(&out.stderr)) }
}

#[test]
fn what_is_wrong_is_named_by_its_flag() {
    let data = tempfile::tempdir().unwrap();
    admin(data.path(), &["create-user", "ops", "--platform-admin"]).unwrap();
    for (args, says) in [
        (&["create-token", "ops", "--tenant", "no-such"][..], "--tenant: there is no tenant “no-such”"),
        (&["create-token", "ops", "--tenant", "Shop!"], "--tenant"),
        (&["create-token", "ops", "--namespace", "dev"], "--tenant"),
        (&["create-token", "ops", "--days", "0"], "--days: 1 to 366 days"),
        (&["create-token", "ops", "--label", ""], "--label: 1 to 60 characters"),
        (&["create-token", "nobody"], "there is no person called “nobody”"),
        (&["reset-password", "nobody"], "there is no person called “nobody”"),
        (&["remove-second-factors", "nobody"], "there is no person called “nobody”"),
        (&["remove-second-factors", "ops"], "ops has no second factor"),
    ] {
        let said = admin(data.path(), args).unwrap_err();
        assert!(said.contains(says), "{args:?}: {said}");
    }
    assert!(admin(data.path(), &["create-token", "ops", "--read-only"]).unwrap().starts_with("berth_"));
}

#[test]
fn passwords_are_switched_on_from_the_machine() {
    let data = tempfile::tempdir().unwrap();
    // Whether they were off or not: who is locked out does not ask.
    let said = admin(data.path(), &["allow-local-accounts"]).unwrap();
    assert_eq!(said, "passwords of local accounts are taken\n");
}
