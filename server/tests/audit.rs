//! `berth audit` as somebody at a shell uses it.
#![allow(clippy::unwrap_used, missing_docs)]

use std::{
    path::Path,
    process::{Command, Output},
};

fn berth(data: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_berth")).args(args).arg("--data").arg(data).output().unwrap()
}

/// What it said when all went well.
fn done(data: &Path, args: &[&str]) -> String {
    let out = berth(data, args);
    assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

/// The exit code and all that was said.
fn said(data: &Path, args: &[&str]) -> (i32, String) {
    let out = berth(data, args);
    let text = [out.stdout, out.stderr].concat();
    (out.status.code().unwrap(), String::from_utf8(text).unwrap())
}

#[test]
fn a_log_put_back_in_time_is_found_by_what_was_kept_elsewhere() {
    let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let data = folder.path();
    let file = |name: &str| elsewhere.path().join(name).display().to_string();
    let (key, kept, other) = (file("audit.pub"), file("checkpoints"), file("other.pub"));

    let (code, text) = said(data, &["audit", "verify"]);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("there is no database") && !data.join("berth.db").exists(), "{text}");

    done(data, &["admin", "create-user", "ann", "--platform-admin"]);
    std::fs::write(&key, done(data, &["audit", "public-key"])).unwrap();
    let first = done(data, &["audit", "checkpoint"]);
    assert_eq!(done(data, &["audit", "checkpoint"]), first, "nothing is new");
    // As it was, all of it.
    for name in ["berth.db", "berth.db-wal"] {
        let _ = std::fs::copy(data.join(name), elsewhere.path().join(name));
    }
    done(data, &["admin", "create-user", "bob"]);
    let second = done(data, &["audit", "checkpoint"]);
    std::fs::write(&kept, format!("{first}{second}")).unwrap();

    let outside = ["audit", "verify", "--checkpoints", &kept, "--public-key", &key];
    let whole = done(data, &outside);
    assert!(whole.contains("whole: 2 entries") && whole.contains("4 checkpoints agree, 2 of them"), "{whole}");
    assert!(done(data, &["audit", "verify"]).contains("only checkpoints kept elsewhere"));

    for name in ["berth.db", "berth.db-wal", "berth.db-shm"] {
        let _ = std::fs::remove_file(data.join(name));
        let _ = std::fs::copy(elsewhere.path().join(name), data.join(name));
    }
    assert!(done(data, &["audit", "verify"]).contains("whole: 1 entries"), "nothing inside tells");
    let (code, text) = said(data, &outside);
    assert!(code == 1 && text.contains("NOT whole, at entry 2: cut-off") && text.contains("line 2"), "{text}");

    let stranger = tempfile::tempdir().unwrap();
    done(stranger.path(), &["admin", "create-user", "eve"]);
    std::fs::write(&other, done(stranger.path(), &["audit", "public-key"])).unwrap();
    let (code, text) = said(data, &["audit", "verify", "--checkpoints", &kept, "--public-key", &other]);
    assert!(code == 1 && text.contains("none of those to be trusted"), "{text}");
    let (code, text) = said(stranger.path(), &["audit", "verify", "--checkpoints", &kept, "--public-key", &key]);
    assert!(code == 1 && text.contains("checkpoint"), "{text}");

    std::fs::write(&kept, format!("{first}not a checkpoint\n")).unwrap();
    let (code, text) = said(data, &outside);
    assert!(code == 1 && text.contains("line 2: this is no checkpoint"), "{text}");
    assert_eq!(said(data, &["audit", "verify", "--checkpoint", &kept]).0, 2, "wrong usage");
}
