//! What a container prints, and when it ends, if its command is one that the small shell understands.

use std::time::Duration;

use super::{
    image::Environment,
    shell::{Machine, Outcome, World},
};

/// A run told in advance.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Script {
    /// Lines and when they come.
    pub lines: Vec<(Duration, String)>,
    /// What then repeats for ever.
    pub round: Option<Round>,
    /// When it exits and with which code.
    pub end: Option<(Duration, i32)>,
}

/// The body of an endless loop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Round {
    /// When it first begins.
    pub from: Duration,
    /// How long one turn takes.
    pub period: Duration,
    /// Lines of a turn, from its beginning.
    pub lines: Vec<(Duration, String)>,
}

/// Foretells a command. `None` if it is a program of which we know nothing.
#[must_use]
pub fn interpret(command: &[String], environment: &Environment, pod_uid: &str) -> Option<Script> {
    let mut world = World::bare(environment, pod_uid);
    world.foretelling = true;
    let mut machine = Machine::new(world);
    let outcome = machine.argv(command)?;
    let end = match outcome {
        Outcome::Code(code) | Outcome::Exit(code) => Some((machine.elapsed, code)),
        Outcome::Forever => None,
    };
    Some(Script { lines: machine.printed, round: machine.round, end })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    fn run(command: &[&str]) -> Option<Script> {
        let command: Vec<String> = command.iter().map(|word| (*word).to_owned()).collect();
        interpret(&command, &vec![("NAME".to_owned(), "berth".to_owned())], "u")
    }

    #[test]
    fn commands_are_foretold() {
        let seconds = Duration::from_secs;
        let script = run(&["sh", "-c", "echo hello $NAME; sleep 5; echo bye; exit 3"]).unwrap();
        assert_eq!(script.lines, [(seconds(0), "hello berth".to_owned()), (seconds(5), "bye".to_owned())]);
        assert_eq!(script.end, Some((seconds(5), 3)));
        assert_eq!(run(&["sleep", "infinity"]).unwrap().end, None);
        assert_eq!(run(&["sleep", "30"]).unwrap().end, Some((seconds(30), 0)));
        assert_eq!(run(&["/bin/false"]).unwrap().end, Some((seconds(0), 1)));
        assert_eq!(run(&["/app/server", "--port=80"]), None);
        let round = run(&["/bin/sh", "-c", "echo up\nwhile true; do echo tick; sleep 2; done"]).unwrap();
        assert_eq!(round.lines, [(seconds(0), "up".to_owned())]);
        assert_eq!(round.end, None);
        assert_eq!(
            round.round,
            Some(Round { from: seconds(0), period: seconds(2), lines: vec![(seconds(0), "tick".to_owned())] })
        );
        let list = run(&["sh", "-c", "for i in 1 2; do echo $i; done && test -z '' || echo no"]).unwrap();
        assert_eq!(list.lines.iter().map(|(_, line)| line.as_str()).collect::<Vec<_>>(), ["1", "2"]);
        let branch =
            run(&["sh", "-c", "if [ \"$NAME\" = berth ]; then echo yes; else echo no; fi; exec sleep 1"]).unwrap();
        assert_eq!(branch.lines[0].1, "yes");
        assert_eq!(branch.end, Some((seconds(1), 0)));
        assert_eq!(run(&["sh", "-c", "/app/server --flag"]), None, "a real program inside a shell is unknown too");
    }
}
