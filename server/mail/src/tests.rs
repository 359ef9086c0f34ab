#![allow(clippy::unwrap_used, clippy::panic)]
//! Against a server that listens on loopback and does as it is told.

use std::sync::{Arc, Mutex};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto::ring, pki_types::PrivateKeyDer},
};

use super::*;

/// What the server does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Does {
    /// Takes all.
    Takes,
    /// Says so at EHLO, and upgrades.
    StartTls,
    /// TLS from the first byte.
    Tls,
    /// Answers the recipient so.
    Refuses(&'static str),
    /// Closes in the middle of the message.
    Cuts,
    /// Greets so.
    Greets(&'static str),
}

#[derive(Default)]
struct Got {
    /// The mails that were taken, whole.
    mails: Vec<String>,
    /// All lines that were said in the clear.
    clear: Vec<String>,
    /// What was said to AUTH.
    auth: Vec<String>,
}

struct Server {
    port: u16,
    got: Arc<Mutex<Got>>,
    pem: Vec<u8>,
}

/// Talks with one client; true when it shall be upgraded.
async fn talk<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut BufReader<S>,
    does: Does,
    tls: bool,
    got: &Mutex<Got>,
    greets: bool,
) -> std::io::Result<bool> {
    if greets {
        let greeting = if let Does::Greets(text) = does { text } else { "220 test" };
        stream.get_mut().write_all(format!("{greeting}\r\n").as_bytes()).await?;
    }
    let (mut line, mut data) = (String::new(), None::<String>);
    loop {
        line.clear();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(false);
        }
        if !tls {
            got.lock().unwrap().clear.push(line.trim_end().to_owned());
        }
        if let Some(text) = &mut data {
            if does == Does::Cuts {
                return Ok(false);
            }
            if line != ".\r\n" {
                text.push_str(&line);
                continue;
            }
            got.lock().unwrap().mails.extend(data.take());
            stream.get_mut().write_all(b"250 queued\r\n").await?;
            continue;
        }
        let word = line.split_whitespace().next().unwrap_or_default().to_ascii_uppercase();
        let answer = match word.as_str() {
            "EHLO" if does == Does::StartTls && !tls => "250-test\r\n250 STARTTLS",
            "EHLO" => "250-test\r\n250 AUTH PLAIN",
            "STARTTLS" => {
                stream.get_mut().write_all(b"220 go\r\n").await?;
                return Ok(true);
            }
            "AUTH" => {
                let right = line.trim_end().ends_with("AGJlcnRoAHMzY3JldA==");
                got.lock().unwrap().auth.push(line.trim_end().to_owned());
                if right { "235 welcome" } else { "535 5.7.8 wrong" }
            }
            "RCPT" => {
                if let Does::Refuses(text) = does {
                    text
                } else {
                    "250 ok"
                }
            }
            "DATA" => {
                data = Some(String::new());
                "354 go"
            }
            "QUIT" => {
                stream.get_mut().write_all(b"221 bye\r\n").await?;
                return Ok(false);
            }
            _ => "250 ok",
        };
        stream.get_mut().write_all(format!("{answer}\r\n").as_bytes()).await?;
    }
}

async fn serve(stream: TcpStream, does: Does, acceptor: TlsAcceptor, got: Arc<Mutex<Got>>) -> std::io::Result<()> {
    let plain = match does {
        Does::Tls => stream,
        _ => {
            let mut plain = BufReader::new(stream);
            if !talk(&mut plain, does, false, &got, true).await? {
                return Ok(());
            }
            plain.into_inner()
        }
    };
    let mut stream = BufReader::new(acceptor.accept(plain).await?);
    talk(&mut stream, does, true, &got, does == Does::Tls).await.map(drop)
}

impl Server {
    async fn start(does: Does) -> Self {
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (port, got) = (listener.local_addr().unwrap().port(), Arc::new(Mutex::new(Got::default())));
        let kept = got.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, does, acceptor.clone(), kept.clone()));
            }
        });
        Self { port, got, pem: cert.pem().into_bytes() }
    }

    fn options(&self, scheme: &str, user: &str) -> Options {
        Options {
            url: format!("{scheme}://{user}localhost:{}", self.port),
            from: "Berth <berth@example.com>".to_owned(),
            trusted: Some(self.pem.clone()),
            called: "berth.example.com".to_owned(),
            ..Options::default()
        }
    }

    fn clear(&self) -> Smtp {
        Smtp::new(Options { without_tls: Some("localhost".to_owned()), ..self.options("smtp", "") }).unwrap()
    }

    fn mails(&self) -> Vec<String> {
        self.got.lock().unwrap().mails.clone()
    }
}

fn letter() -> Letter {
    Letter {
        id: "0193f0a0-0000-7000-8000-000000000001".parse().unwrap(),
        to: "ann@example.com".to_owned(),
        subject: "[Berth] shop：配额即将用尽".to_owned(),
        text: "Hello\n.\nover\n".to_owned(),
        at: "2026-11-20T08:00:00Z".parse().unwrap(),
        settings: Some("https://berth.example.com/account/mail".to_owned()),
    }
}

fn header<'a>(mail: &'a str, name: &str) -> &'a str {
    let found = mail.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    found.unwrap_or_else(|| panic!("no {name}: {mail}"))
}

#[tokio::test]
async fn a_mail_as_it_arrives() {
    let server = Server::start(Does::Takes).await;
    server.clear().send(&letter()).await.unwrap();
    let mail = server.mails().remove(0);
    assert_eq!(header(&mail, "From"), "Berth <berth@example.com>");
    assert_eq!(header(&mail, "To"), "ann@example.com");
    assert_eq!(header(&mail, "Message-ID"), "<0193f0a0-0000-7000-8000-000000000001@berth.example.com>");
    assert_eq!(header(&mail, "Date"), "Fri, 20 Nov 2026 08:00:00 +0000");
    assert_eq!(header(&mail, "Auto-Submitted"), "auto-generated");
    assert_eq!(header(&mail, "List-Unsubscribe"), "<https://berth.example.com/account/mail>");
    assert!(header(&mail, "Subject").starts_with("[Berth] =?utf-8?b?"), "{mail}");
    assert_eq!(header(&mail, "Content-Type"), "text/plain; charset=utf-8");
    let (_, body) = mail.split_once("\r\n\r\n").unwrap();
    assert_eq!(body.trim_end(), "SGVsbG8NCi4NCm92ZXINCg==", "nothing of the text ends the message");
    // Again, byte for byte: who gets both drops one.
    server.clear().send(&letter()).await.unwrap();
    assert_eq!(server.mails()[0], server.mails()[1]);
}

#[tokio::test]
async fn nothing_in_a_mail_makes_a_header_or_a_recipient() {
    let server = Server::start(Does::Takes).await;
    let evil = "x\r\nBcc: all@example.com\r\n\r\nhello";
    for letter in [
        Letter { subject: evil.to_owned(), ..letter() },
        Letter { settings: Some(format!("https://x/{evil}")), ..letter() },
        Letter { to: format!("ann@example.com{evil}"), ..letter() },
        Letter { to: "ann@example.com, bob@example.com".to_owned(), ..letter() },
        Letter { to: "ann@example.com> SIZE=1\r\nRCPT TO:<bob@example.com".to_owned(), ..letter() },
    ] {
        let _ = server.clear().send(&letter).await;
    }
    let said = server.got.lock().unwrap().clear.clone();
    let to: Vec<_> = said.iter().filter(|line| line.starts_with("RCPT")).collect();
    assert!(to.iter().all(|line| *line == "RCPT TO:<ann@example.com>"), "{to:?}");
    for mail in server.mails() {
        let (headers, _) = mail.split_once("\r\n\r\n").unwrap();
        assert!(!headers.lines().any(|line| line.starts_with("Bcc")), "{headers}");
    }
}

#[tokio::test]
async fn tls_is_demanded() {
    for (does, scheme) in [(Does::StartTls, "smtp"), (Does::Tls, "smtps")] {
        let server = Server::start(does).await;
        let smtp = Smtp::new(server.options(scheme, "")).unwrap();
        smtp.send(&letter()).await.unwrap();
        assert_eq!(server.mails().len(), 1, "{does:?}");
        let clear = server.got.lock().unwrap().clear.clone();
        assert!(!clear.iter().any(|line| line.starts_with("MAIL")), "{clear:?}");
        assert!(smtp.look().await.unwrap().contains("answers"), "{does:?}");
        // One whose certificate nobody vouches for gets nothing.
        let stranger = Smtp::new(Options { trusted: None, ..server.options(scheme, "") }).unwrap();
        let unsent = stranger.send(&letter()).await.unwrap_err();
        assert!(!unsent.for_good && unsent.reason.to_lowercase().contains("certificate"), "{unsent:?}");
        assert_eq!(server.mails().len(), 1);
    }
    let server = Server::start(Does::Takes).await;
    let unsent = Smtp::new(server.options("smtp", "")).unwrap().send(&letter()).await.unwrap_err();
    assert!(!unsent.for_good && unsent.reason.contains("STARTTLS"), "{unsent:?}");
    assert!(server.mails().is_empty());
}

#[tokio::test]
async fn a_wrong_password_is_no_fault_of_the_mail() {
    let server = Server::start(Does::StartTls).await;
    let with = |password: &str| {
        let options = Options { password: Some(password.into()), ..server.options("smtp", "berth@") };
        Smtp::new(options).unwrap()
    };
    with("s3cret").send(&letter()).await.unwrap();
    assert!(with("s3cret").look().await.unwrap().contains("signed in"));
    let unsent = with("wrong").send(&letter()).await.unwrap_err();
    assert!(!unsent.for_good && unsent.reason.starts_with("signing in"), "{unsent:?}");
    assert!(with("wrong").look().await.unwrap_err().contains("535"));
    assert_eq!((server.mails().len(), server.got.lock().unwrap().auth.len()), (1, 4));
    let clear = server.got.lock().unwrap().clear.clone();
    assert!(!clear.iter().any(|line| line.starts_with("AUTH")), "{clear:?}");
}

#[tokio::test]
async fn what_is_final_and_what_is_not() {
    for (does, for_good, said) in [
        (Does::Refuses("450 4.2.0 greylisted"), false, "450"),
        (Does::Refuses("550 5.1.1 no such user"), true, "no such user"),
        (Does::Refuses("550 5.1.1 <Ann@Example.com>: unknown here, ann@example.com"), true, "<…>: unknown here, …"),
        (Does::Cuts, false, "sending"),
        (Does::Greets("554 no mail from you"), false, "554"),
        (Does::Greets("421 busy"), false, "421"),
    ] {
        let server = Server::start(does).await;
        let unsent = server.clear().send(&letter()).await.unwrap_err();
        assert_eq!(unsent.for_good, for_good, "{does:?}: {unsent:?}");
        assert!(unsent.reason.contains(said), "{does:?}: {unsent:?}");
        assert!(!unsent.reason.to_lowercase().contains("ann@"), "nobody need know whom it was for: {unsent:?}");
        assert!(server.mails().is_empty(), "{does:?}");
    }
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let options = Options {
        url: format!("smtp://{nobody}"),
        from: "berth@example.com".to_owned(),
        without_tls: Some("127.0.0.1".to_owned()),
        ..Options::default()
    };
    let unsent = Smtp::new(options).unwrap().send(&letter()).await.unwrap_err();
    assert!(!unsent.for_good && unsent.reason.starts_with("connecting"), "{unsent:?}");
}

#[test]
fn no_password_is_printed() {
    let options = || Options {
        url: "smtps://u:s3cret@mail.example.com".to_owned(),
        from: "b@example.com".to_owned(),
        ..Options::default()
    };
    let printed = format!("{:?} {:?}", options(), Smtp::new(options()).unwrap());
    assert!(printed.contains("mail.example.com") && !printed.contains("s3cret"), "{printed}");
}

#[test]
fn what_the_settings_may_say() {
    let with = |url: &str, change: fn(&mut Options)| {
        let mut options =
            Options { url: url.to_owned(), from: "Berth <b@example.com>".to_owned(), ..Options::default() };
        change(&mut options);
        Smtp::new(options).map(|smtp| (smtp.server(), smtp.protection))
    };
    let as_is = |_: &mut Options| {};
    for (url, want) in [
        ("smtp://mail.example.com", Ok(("mail.example.com:587", Protection::StartTls))),
        ("smtp://mail.example.com:25/", Ok(("mail.example.com:25", Protection::StartTls))),
        ("smtps://mail.example.com", Ok(("mail.example.com:465", Protection::Tls))),
        ("smtps://u:p%40ss@mail.example.com:4650", Ok(("mail.example.com:4650", Protection::Tls))),
        ("smtp://10.0.0.1", Ok(("10.0.0.1:587", Protection::StartTls))),
        ("smtp://u@mail.example.com", Err(Wrong::NoPassword)),
        ("mail.example.com", Err(Wrong::Url)),
        ("https://mail.example.com", Err(Wrong::Url)),
        ("smtp://", Err(Wrong::Url)),
        ("smtp://mail.example.com/inbox", Err(Wrong::Url)),
        ("smtp://mail.example.com?tls=no", Err(Wrong::Url)),
    ] {
        assert_eq!(with(url, as_is), want.map(|(server, protection)| (server.to_owned(), protection)), "{url}");
    }
    let password = |options: &mut Options| options.password = Some("x".into());
    assert_eq!(with("smtp://u:p@mail.example.com", password), Err(Wrong::TwoPasswords));
    assert_eq!(with("smtp://mail.example.com", password), Err(Wrong::NoUser));
    assert!(with("smtp://u@mail.example.com", password).is_ok());
    let clear = |options: &mut Options| options.without_tls = Some("mail.example.com".to_owned());
    assert_eq!(with("smtp://mail.example.com:25", clear).unwrap().1, Protection::None);
    assert_eq!(with("smtp://u:p@mail.example.com", clear), Err(Wrong::ClearPassword));
    assert_eq!(with("smtps://mail.example.com", clear), Err(Wrong::OtherHost));
    assert_eq!(with("smtp://other.example.com", clear), Err(Wrong::OtherHost));
    let here = |options: &mut Options| options.without_tls = Some("127.0.0.1".to_owned());
    assert_eq!(with("smtp://u:p@127.0.0.1:25", here).unwrap().1, Protection::None);
    assert_eq!(with("smtp://mail.example.com", |o| o.from = "nobody".to_owned()), Err(Wrong::From));
    assert_eq!(with("smtp://mail.example.com", |o| o.trusted = Some(b"x".to_vec())), Err(Wrong::Trusted));
}
