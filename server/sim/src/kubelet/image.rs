//! How a container behaves, told from its image, command and environment (`docs/images.md` is the user's view).

use std::time::Duration;

use serde_json::Value;

use super::script::{Script, interpret};
use crate::controllers::fields::{Fields, fnv32a};

/// Why a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// It returned.
    Exit(i32),
    /// The kernel killed it at its memory limit.
    OutOfMemory,
}

/// What a container writes while it runs.
#[derive(Debug, Clone, PartialEq)]
pub enum Voice {
    /// A web service: a start-up banner and a request now and then.
    Service,
    /// Many lines a second.
    Chatty,
    /// A start-up, then a stack trace at the end.
    Crash,
    /// A service that cannot resolve its database.
    NoDatabase,
    /// A service whose memory climbs.
    Leak,
    /// Exactly what a script prints.
    Script(Script),
    /// A start-up line and a last one.
    Task,
}

/// The course of one run of a container.
#[derive(Debug, Clone, PartialEq)]
pub struct Behaviour {
    /// When and why it ends by itself.
    pub end: Option<(Duration, Cause)>,
    /// From when it answers.
    pub serves_after: Duration,
    /// Readiness answers 503 for ever.
    pub never_ready: bool,
    /// Readiness fails every other half minute.
    pub flaky: bool,
    /// From when it answers nothing at all, liveness included.
    pub hangs_after: Option<Duration>,
    /// Whether it heeds SIGTERM; otherwise it is killed when its grace period is over.
    pub heeds_term: bool,
    /// What it logs.
    pub voice: Voice,
}

/// An image reference taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// e.g. `docker.io`
    pub registry: String,
    /// e.g. `library/nginx`
    pub repository: String,
    /// e.g. `latest`; "" with a digest alone.
    pub tag: String,
    /// e.g. `sha256:…`, or "".
    pub digest: String,
}

impl Reference {
    /// Reads what a user wrote and fills in what containerd fills in. `None` if it is no reference.
    #[must_use]
    pub fn parse(image: &str) -> Option<Self> {
        let (rest, digest) = image.split_once('@').unwrap_or((image, ""));
        let slash = rest.rfind('/').map_or(0, |at| at + 1);
        let (name, tag) = match rest.get(slash..)?.rfind(':') {
            Some(colon) => (rest.get(..slash + colon)?, rest.get(slash + colon + 1..)?),
            None => (rest, ""),
        };
        let (registry, repository) = match name.split_once('/') {
            Some((first, more)) if first.contains(['.', ':']) || first == "localhost" => (first, more.to_owned()),
            Some(_) => ("docker.io", name.to_owned()),
            None => ("docker.io", format!("library/{name}")),
        };
        let lower =
            |text: &str| text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-/".contains(c));
        if repository.ends_with('/')
            || repository.is_empty()
            || !lower(&repository)
            || tag.contains(char::is_whitespace)
        {
            return None;
        }
        let tag = if tag.is_empty() && digest.is_empty() { "latest" } else { tag };
        Some(Self { registry: registry.to_owned(), repository, tag: tag.to_owned(), digest: digest.to_owned() })
    }

    /// The name in full, as containerd prints it.
    #[must_use]
    pub fn canonical(&self) -> String {
        let mut out = format!("{}/{}", self.registry, self.repository);
        if !self.tag.is_empty() {
            out.push(':');
            out.push_str(&self.tag);
        }
        if !self.digest.is_empty() {
            out.push('@');
            out.push_str(&self.digest);
        }
        out
    }

    /// The last part of the repository.
    #[must_use]
    pub fn short(&self) -> &str {
        self.repository.rsplit('/').next().unwrap_or(&self.repository)
    }

    /// A digest that looks like one and is always the same for the same reference.
    #[must_use]
    pub fn pretend_digest(&self) -> String {
        use sha2::{Digest, Sha256};
        let hash = Sha256::digest(self.canonical().as_bytes());
        format!("sha256:{}", hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
    }

    /// A plausible size in bytes.
    #[must_use]
    pub fn pretend_size(&self) -> u64 {
        20_000_000 + u64::from(fnv32a(&[self.repository.as_bytes()])) % 180_000_000
    }
}

/// Why an image cannot be pulled: the runtime's words, or `None` when it can.
#[must_use]
pub fn pull_failure(reference: &Reference, has_credentials: bool) -> Option<String> {
    let name = reference.canonical();
    let special = |word: &str| reference.short() == word || reference.tag == word;
    if special("missing") {
        return Some(format!(
            "rpc error: code = NotFound desc = failed to pull and unpack image \"{name}\": failed to resolve reference \"{name}\": {name}: not found"
        ));
    }
    if reference.repository.split('/').any(|part| part == "private") && !has_credentials {
        return Some(format!(
            "rpc error: code = Unknown desc = failed to pull and unpack image \"{name}\": failed to resolve reference \"{name}\": unexpected status from HEAD request to https://{}/v2/{}/manifests/{}: 401 Unauthorized",
            reference.registry, reference.repository, reference.tag
        ));
    }
    if special("unreachable") || reference.registry.ends_with(".invalid") {
        return Some(format!(
            "rpc error: code = Unknown desc = failed to pull and unpack image \"{name}\": failed to resolve reference \"{name}\": failed to do request: Head \"https://{0}/v2/{1}/manifests/{2}\": dial tcp: lookup {0}: no such host",
            reference.registry, reference.repository, reference.tag
        ));
    }
    None
}

/// Reads `30s`, `2m`, `500ms`, `1h` or plain seconds.
#[must_use]
pub fn duration(text: &str) -> Option<Duration> {
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let number: f64 = number.parse().ok()?;
    let factor = match unit {
        "" | "s" => 1.0,
        "ms" => 0.001,
        "m" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        _ => return None,
    };
    Duration::try_from_secs_f64(number * factor).ok()
}

/// Environment variables as name and value, in order.
pub type Environment = Vec<(String, String)>;

fn variable<'a>(environment: &'a Environment, name: &str) -> Option<&'a str> {
    environment.iter().rev().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
}

/// The behaviour of a run. `attempt` counts the restarts before it.
#[must_use]
pub fn behaviour(container: &Value, environment: &Environment, pod_uid: &str, attempt: u32) -> Behaviour {
    let reference = Reference::parse(container.text("/image"));
    let (name, tag) = reference.as_ref().map_or(("", ""), |reference| (reference.short(), reference.tag.as_str()));
    let mut out = Behaviour {
        end: None,
        serves_after: Duration::ZERO,
        never_ready: false,
        flaky: false,
        hangs_after: None,
        heeds_term: true,
        voice: Voice::Service,
    };
    // A special word is the image's name, with its argument as the tag, or the tag: `web:crash-after-30s`.
    const WORDS: [&str; 11] = [
        "crash-after",
        "crash",
        "oom",
        "never-ready",
        "slow-start",
        "exit",
        "flaky",
        "chatty",
        "no-db",
        "hang-after",
        "ignore-term",
    ];
    let word = WORDS.iter().find(|word| name == **word).map(|word| (*word, tag)).or_else(|| {
        WORDS.iter().find_map(|word| {
            let rest = tag.strip_prefix(word)?;
            (rest.is_empty() || rest.starts_with('-')).then(|| (*word, rest.trim_start_matches('-')))
        })
    });
    let code = |default| variable(environment, "SIM_EXIT_CODE").and_then(|code| code.parse().ok()).unwrap_or(default);
    let after = |argument: &str, default: u64| {
        variable(environment, "SIM_AFTER")
            .and_then(duration)
            .or_else(|| duration(argument))
            .unwrap_or(Duration::from_secs(default))
    };
    match word {
        Some(("crash", argument)) => {
            out.end = Some((after(argument, 2), Cause::Exit(code(1))));
            out.voice = Voice::Crash;
        }
        Some(("crash-after", argument)) => {
            out.end = Some((after(argument, 30), Cause::Exit(code(1))));
            out.voice = Voice::Crash;
        }
        Some(("oom", argument)) => {
            out.end = Some((after(argument, 8), Cause::OutOfMemory));
            out.voice = Voice::Leak;
        }
        Some(("never-ready", _)) => out.never_ready = true,
        Some(("slow-start", argument)) => out.serves_after = after(argument, 20),
        Some(("exit", argument)) => {
            out.end = Some((after("", 1), Cause::Exit(code(argument.parse().unwrap_or(0)))));
            out.voice = Voice::Task;
        }
        Some(("flaky", _)) => out.flaky = true,
        Some(("chatty", _)) => out.voice = Voice::Chatty,
        Some(("no-db", _)) => {
            out.end = Some((Duration::from_millis(3070), Cause::Exit(code(1))));
            out.serves_after = Duration::from_secs(3600);
            out.voice = Voice::NoDatabase;
        }
        Some(("hang-after", argument)) => out.hangs_after = Some(after(argument, 30)),
        Some(("ignore-term", _)) => out.heeds_term = false,
        _ => {}
    }
    if word.is_none() {
        scripted(&mut out, container, environment, name, pod_uid);
    }
    if let Some(delay) = variable(environment, "SIM_START_DELAY").and_then(duration) {
        out.serves_after = delay;
    }
    if let Some(delay) = variable(environment, "SIM_CRASH_AFTER").and_then(duration) {
        out.end = Some((delay, Cause::Exit(code(1))));
        out.voice = Voice::Crash;
    }
    // `SIM_FAIL_TIMES=2`: the first two runs crash, the third stays up.
    if let Some(times) = variable(environment, "SIM_FAIL_TIMES").and_then(|times| times.parse::<u32>().ok()) {
        out.end = (attempt < times).then_some((after("", 1), Cause::Exit(code(1))));
        out.voice = if attempt < times { Voice::Crash } else { Voice::Service };
    }
    out
}

/// Images whose own command is a shell.
const SHELL_IMAGES: [&str; 5] = ["busybox", "alpine", "debian", "ubuntu", "bash"];

/// Whether a container's process is a shell without a script, which does what it is told on its input.
#[must_use]
pub fn is_shell(container: &Value) -> bool {
    let (command, args) = (container.items("/command"), container.items("/args"));
    let Some(first) = command.iter().chain(args).next().and_then(Value::as_str) else {
        return Reference::parse(container.text("/image")).is_some_and(|image| SHELL_IMAGES.contains(&image.short()));
    };
    let shell = matches!(first.rsplit('/').next(), Some("sh" | "bash" | "ash" | "dash"));
    shell
        && !command
            .iter()
            .chain(args)
            .skip(1)
            .filter_map(Value::as_str)
            .any(|word| !matches!(word, "-i" | "-l" | "-il"))
}

/// A command that the small shell understands decides over what the image would do.
fn scripted(out: &mut Behaviour, container: &Value, environment: &Environment, image: &str, pod_uid: &str) {
    let words = |pointer: &str| {
        container
            .items(pointer)
            .iter()
            .filter_map(Value::as_str)
            .map(|word| expand(word, environment))
            .collect::<Vec<_>>()
    };
    let mut command = words("/command");
    if command.is_empty() && !SHELL_IMAGES.contains(&image) {
        return;
    }
    command.extend(words("/args"));
    if is_shell(container) {
        // A shell reads what it is given; without an input it reads the end of it at once.
        let word: &[&str] = if container.flag("/stdin") { &["sleep", "infinity"] } else { &["true"] };
        command = word.iter().map(|word| (*word).to_owned()).collect();
    }
    let Some(script) = interpret(&command, environment, pod_uid) else { return };
    out.serves_after = Duration::ZERO;
    out.heeds_term = false;
    out.end = script.end.map(|(at, code)| (at, Cause::Exit(code)));
    out.voice = Voice::Script(script);
}

/// `$(NAME)` in commands and arguments; `$$(` is a literal.
#[must_use]
pub fn expand(text: &str, environment: &Environment) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(after) = rest.strip_prefix("$$") {
            out.push('$');
            rest = after;
        } else if let Some((name, after)) = rest.strip_prefix("$(").and_then(|inner| inner.split_once(')')) {
            match variable(environment, name) {
                Some(value) => out.push_str(value),
                None => out.push_str(&format!("$({name})")),
            }
            rest = after;
        } else {
            out.push('$');
            rest = &rest[1..];
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use serde_json::json;

    use super::*;

    #[test]
    fn references() {
        for (text, canonical) in [
            ("nginx", "docker.io/library/nginx:latest"),
            ("nginx:1.27", "docker.io/library/nginx:1.27"),
            ("team/app", "docker.io/team/app:latest"),
            ("localhost:5000/app", "localhost:5000/app:latest"),
            ("sim.berth.dev/missing", "sim.berth.dev/missing:latest"),
            ("r.io/a/b@sha256:00", "r.io/a/b@sha256:00"),
        ] {
            assert_eq!(Reference::parse(text).map(|reference| reference.canonical()).as_deref(), Some(canonical));
        }
        for text in ["", "UPPER/Case", "a/", "nginx:1 2"] {
            assert_eq!(Reference::parse(text), None, "{text}");
        }
    }

    #[test]
    fn special_images() {
        let run = |image: &str| behaviour(&json!({"image": image}), &Vec::new(), "u", 0);
        assert_eq!(run("sim.berth.dev/crash").end, Some((Duration::from_secs(2), Cause::Exit(1))));
        assert_eq!(run("sim.berth.dev/crash-after:30s").end, Some((Duration::from_secs(30), Cause::Exit(1))));
        assert_eq!(run("web:crash-after-5s").end, Some((Duration::from_secs(5), Cause::Exit(1))));
        assert_eq!(run("x/oom").end.unwrap().1, Cause::OutOfMemory);
        assert_eq!(run("x/exit:3").end.unwrap().1, Cause::Exit(3));
        assert_eq!(run("x/slow-start:20s").serves_after, Duration::from_secs(20));
        assert!(run("x/never-ready").never_ready);
        assert_eq!(run("crashpad/reporter:1").end, None);
        assert_eq!(run("busybox").end, Some((Duration::ZERO, Cause::Exit(0))));
        let env = vec![("SIM_FAIL_TIMES".to_owned(), "1".to_owned())];
        assert!(behaviour(&json!({"image": "web"}), &env, "u", 0).end.is_some());
        assert!(behaviour(&json!({"image": "web"}), &env, "u", 1).end.is_none());
    }

    #[test]
    fn pulls_fail_in_the_runtime_s_words() {
        let failure = |image: &str, credentials| pull_failure(&Reference::parse(image).unwrap(), credentials);
        assert_eq!(
            failure("sim.berth.dev/missing", false).unwrap(),
            "rpc error: code = NotFound desc = failed to pull and unpack image \"sim.berth.dev/missing:latest\": failed to resolve reference \"sim.berth.dev/missing:latest\": sim.berth.dev/missing:latest: not found"
        );
        assert!(failure("web:missing", false).is_some());
        assert!(failure("r.io/private/app:1", false).unwrap().ends_with("401 Unauthorized"));
        assert!(failure("r.io/private/app:1", true).is_none());
        assert!(failure("nginx", false).is_none());
    }

    #[test]
    fn arguments_expand() {
        let env = vec![("A".to_owned(), "x".to_owned())];
        assert_eq!(expand("$(A)-$(B)-$$(A)-$A", &env), "x-$(B)-$(A)-$A");
    }
}
