//! Running programs and saying so.

use std::{
    env, fmt,
    io::{self, BufRead as _, BufReader, IsTerminal as _, Write as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

/// What was asked for cannot run on this machine. Not a failure: callers see it by its exit code and go on without.
#[derive(Debug)]
pub struct NotHere(pub String);

impl NotHere {
    /// What test runners take for "skipped".
    pub const EXIT: u8 = 77;
}

impl fmt::Display for NotHere {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NotHere {}

/// Says what is being done.
pub fn say(text: &str) {
    let (bold, plain) = if io::stderr().is_terminal() { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
    eprintln!("{bold}▸ {text}{plain}");
}

/// Does something with a name, and says how long it took.
///
/// # Errors
/// Those of `work`.
pub fn step<T>(name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    say(name);
    let start = Instant::now();
    let value = work()?;
    eprintln!("  done in {}", seconds(start.elapsed()));
    Ok(value)
}

/// `3.4 s`, `2 min 05 s`.
pub fn seconds(time: Duration) -> String {
    let whole = time.as_secs();
    if whole < 60 { format!("{:.1} s", time.as_secs_f64()) } else { format!("{} min {:02} s", whole / 60, whole % 60) }
}

/// Runs it with our own output.
///
/// # Errors
/// It cannot be started, or fails: the message has the whole command.
pub fn run(command: &mut Command) -> Result<()> {
    let line = line(command);
    let status = command.stdin(Stdio::null()).status().with_context(|| format!("cannot start `{line}`"))?;
    if !status.success() {
        bail!("`{line}` failed ({status})");
    }
    Ok(())
}

/// Sends a signal (`TERM`, `KILL`, `STOP`, …) to processes.
///
/// # Errors
/// One of them is not there.
pub fn kill(signal: &str, processes: &[u32]) -> Result<()> {
    run(Command::new("kill").arg(format!("-{signal}")).args(processes.iter().map(u32::to_string)))
}

/// Its standard output; what it says on standard error goes to ours.
///
/// # Errors
/// It cannot be started, or fails.
pub fn output(command: &mut Command) -> Result<Vec<u8>> {
    let line = line(command);
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start `{line}`"))?;
    if !output.status.success() {
        bail!("`{line}` failed ({})", output.status);
    }
    Ok(output.stdout)
}

/// Runs it, shows each line of its standard output as it comes and hands it to `each`. True when it succeeded.
///
/// # Errors
/// It cannot be started.
pub fn watch(command: &mut Command, mut each: impl FnMut(&str)) -> Result<bool> {
    let line = line(command);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start `{line}`"))?;
    if let Some(stdout) = child.stdout.take() {
        let mut lines = BufReader::new(stdout);
        let mut text = Vec::new();
        while lines.read_until(b'\n', &mut text)? > 0 {
            // Ours may be a pipe that was closed: the command still has to be waited for.
            let _ = io::stdout().write_all(&text);
            each(String::from_utf8_lossy(&text).trim_end());
            text.clear();
        }
    }
    Ok(child.wait()?.success())
}

/// The command as one would type it.
pub fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// Where a program is on the path.
pub fn which(program: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?).map(|folder| folder.join(program)).find(|file| executable(file))
}

fn executable(file: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        file.metadata().is_ok_and(|it| it.is_file() && it.permissions().mode() & 0o111 != 0)
    }
    #[cfg(not(unix))]
    file.is_file()
}
