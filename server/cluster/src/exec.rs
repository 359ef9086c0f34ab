//! A command in a container, over the WebSocket protocol of the API server.

use std::time::Duration;

use berth_core::{
    Error, OpCtx, Result,
    authz::{Grant, NamespaceRef},
    ports::cluster::{ExecInput, ExecOutput, ExecSession},
};
use berth_types::{Action, ErrorCode, Resource};
use bytes::Bytes;
use futures::{SinkExt as _, StreamExt as _};
use k8s_openapi::{api::core::v1::Pod, apimachinery::pkg::apis::meta::v1::Status};
use kube::{
    Api,
    api::{AttachParams, AttachedProcess, TerminalSize},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _},
    sync::mpsc,
};

use crate::{
    KubeCluster,
    apps::pod_name,
    error::{Target, from_kube},
    rest::{TIMEOUT, bounded, receiver_stream},
};

/// Bytes of one piece of output.
const CHUNK: usize = 16 * 1024;
/// Pieces that wait for a slow reader; then the command waits.
const BACKLOG: usize = 16;
/// How long a command that has printed all is given to say how it ended.
const LAST_WORDS: Duration = Duration::from_secs(2);

impl KubeCluster {
    pub(crate) async fn open_terminal(
        &self,
        ctx: &OpCtx,
        namespace: &Grant<NamespaceRef>,
        pod: &str,
        container: Option<&str>,
        command: &[String],
        tty: bool,
    ) -> Result<ExecSession> {
        let pod = pod_name(pod)?;
        let rest = self.connection.acting(ctx, namespace)?;
        let api: Api<Pod> = Api::namespaced(rest.client, &namespace.kube_name);
        let params = AttachParams {
            container: container.map(str::to_owned),
            stdin: true,
            stdout: true,
            // A terminal has one stream.
            stderr: !tty,
            tty,
            max_stdin_buf_size: Some(CHUNK),
            max_stdout_buf_size: Some(CHUNK),
            max_stderr_buf_size: Some(CHUNK),
        };
        let target = Target::of("the pod", pod, (Resource::Exec, Action::Create));
        let opened = bounded(TIMEOUT, api.exec(pod, command.iter().map(String::as_str), &params)).await?;
        let process = opened.map_err(|e| match e {
            kube::Error::UpgradeConnection(e) => {
                Error::new(ErrorCode::ClusterRefused, "the cluster did not open a terminal in this pod").caused_by(e)
            }
            other => from_kube(other, &target),
        })?;
        let (input, from_user) = mpsc::channel(BACKLOG);
        let (to_user, output) = mpsc::channel(BACKLOG);
        tokio::spawn(converse(process, from_user, to_user));
        Ok(ExecSession { input, output: receiver_stream(output).boxed() })
    }
}

/// Carries bytes both ways until the command ends or the user leaves.
async fn converse(
    mut process: AttachedProcess,
    mut from_user: mpsc::Receiver<ExecInput>,
    to_user: mpsc::Sender<ExecOutput>,
) {
    let status = process.take_status();
    let mut stdin = process.stdin();
    let mut size = process.terminal_size();
    let (stdout, stderr) = (process.stdout(), process.stderr());
    let typing = async {
        while let Some(input) = from_user.recv().await {
            match input {
                ExecInput::Stdin(bytes) => {
                    let Some(pipe) = &mut stdin else { continue };
                    if pipe.write_all(&bytes).await.is_err() || pipe.flush().await.is_err() {
                        stdin = None;
                    }
                }
                ExecInput::Resize(width, height) => {
                    if let Some(size) = &mut size {
                        // A command that has ended has no window.
                        let _ = size.send(TerminalSize { width, height }).await;
                    }
                }
            }
        }
        if let Some(mut pipe) = stdin.take() {
            let _ = pipe.shutdown().await;
        }
        std::future::pending::<()>().await;
    };
    let printing = async {
        tokio::join!(pump(stdout, &to_user, ExecOutput::Stdout), pump(stderr, &to_user, ExecOutput::Stderr));
    };
    tokio::select! {
        () = typing => {}
        () = printing => {}
        () = to_user.closed() => {}
    }
    let status = match status {
        Some(status) => tokio::time::timeout(LAST_WORDS, status).await.ok().flatten(),
        None => None,
    };
    let (code, said) = ended(status.as_ref());
    // Whoever left does not ask how it ended.
    let _ = to_user.send(ExecOutput::Exit(code, said)).await;
    process.abort();
}

async fn pump(from: Option<impl AsyncRead + Unpin>, to: &mpsc::Sender<ExecOutput>, wrap: fn(Bytes) -> ExecOutput) {
    let Some(mut from) = from else { return };
    let mut buffer = vec![0; CHUNK];
    while let Ok(n @ 1..) = from.read(&mut buffer).await {
        if to.send(wrap(Bytes::copy_from_slice(&buffer[..n]))).await.is_err() {
            return;
        }
    }
}

/// Exit code and words of the frame that ends a session.
fn ended(status: Option<&Status>) -> (Option<i32>, Option<String>) {
    let Some(status) = status else { return (None, None) };
    if status.status.as_deref() == Some("Success") {
        return (Some(0), None);
    }
    let causes = status.details.as_ref().and_then(|d| d.causes.as_deref()).unwrap_or_default();
    let of_exit = causes.iter().find(|c| c.reason.as_deref() == Some("ExitCode"));
    let code = of_exit.and_then(|c| c.message.as_deref()?.parse().ok());
    (code, status.message.clone())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn endings() {
        for (status, want) in [
            (json!({"status": "Success"}), (Some(0), None)),
            (
                json!({"status": "Failure", "reason": "NonZeroExitCode", "message": "command terminated with non-zero exit code",
                    "details": {"causes": [{"reason": "ExitCode", "message": "137"}]}}),
                (Some(137), Some("command terminated with non-zero exit code".to_owned())),
            ),
            (json!({"status": "Failure", "message": "no such command"}), (None, Some("no such command".to_owned()))),
        ] {
            let status: Status = serde_json::from_value(status).expect("a status");
            assert_eq!(ended(Some(&status)), want);
        }
        assert_eq!(ended(None), (None, None));
    }
}
