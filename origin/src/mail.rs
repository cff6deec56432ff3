//! Mail: plain text, to one person, through the mail server of `SMTP_URL`, or into the log where there is none.

use std::time::Duration;

use anyhow::Context as _;
use lettre::message::header::{ContentTransferEncoding, ContentType, HeaderName, HeaderValue};
use lettre::message::{Body, Mailbox};
use lettre::transport::smtp::PoolConfig;
use lettre::transport::smtp::response::{Category, Code, Severity};
use lettre::{Address, AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};

use crate::config;
use crate::tls;

/// Where mail goes; clones share the connections.
#[derive(Clone, Debug)]
pub(crate) struct Mailer {
    from: Mailbox,
    /// Without one, mail is written to the log, whole: that is how someone signs in who develops.
    server: Option<AsyncSmtpTransport<Tokio1Executor>>,
}

/// One mail.
#[derive(Clone, Debug)]
pub(crate) struct Mail {
    pub(crate) to: Address,
    pub(crate) subject: String,
    pub(crate) text: String,
    /// The same for a mail that is sent again, so that its reader's server can tell; without one it is made up.
    pub(crate) message_id: Option<String>,
    /// Where one click ends what this is part of (RFC 8058).
    pub(crate) unsubscribe: Option<String>,
}

/// Why a mail was not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MailError {
    /// The server refused what it is or whom it is for, for good, or it is no mail.
    #[error("the mail is refused for good")]
    Refused(#[source] anyhow::Error),
    /// The server did not answer, or said to try again, every time; or it refuses us and not the mail: a wrong password.
    #[error("the mail server takes no mail from this site now")]
    Away(#[source] lettre::transport::smtp::Error),
}

/// How often a mail is tried.
const ATTEMPTS: u32 = 4;
/// The pause after the first attempt; each further one is three times as long: 13 s in all.
const PAUSE: Duration = Duration::from_secs(1);
/// Longest wait for any answer of the server.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);
/// Connections to the server at once.
const CONNECTIONS_MAX: u32 = 4;

impl Mailer {
    /// Connects with the first mail.
    ///
    /// # Errors
    /// When `SMTP_URL` is not understood.
    pub(crate) fn new(settings: &config::Accounts) -> anyhow::Result<Self> {
        let Some(url) = &settings.smtp_url else {
            tracing::warn!(
                event = "mail.logged",
                "SMTP_URL is not set: mail is written to this log, sign-in links included"
            );
            return Ok(Self { from: settings.mail_from.clone(), server: None });
        };
        // The library takes the process's own cryptography, which this chooses.
        let _ = tls::provider();
        let builder = AsyncSmtpTransport::<Tokio1Executor>::from_url(url.expose()).context("SMTP_URL")?;
        let pool = PoolConfig::new().max_size(CONNECTIONS_MAX);
        let server = builder.timeout(Some(ANSWER_TIME_MAX)).pool_config(pool).build();
        Ok(Self { from: settings.mail_from.clone(), server: Some(server) })
    }

    /// Hands the mail to the server, trying again while it may succeed.
    ///
    /// # Errors
    /// When it was not taken.
    pub(crate) async fn send(&self, mail: &Mail) -> Result<(), MailError> {
        let message = self.message(mail).map_err(MailError::Refused)?;
        let Some(server) = &self.server else {
            tracing::info!(event = "mail.written", "to {}: {}\n{}", mail.to, mail.subject, mail.text);
            return Ok(());
        };
        let (mut attempt, mut pause) = (1, PAUSE);
        loop {
            match server.send(message.clone()).await {
                Ok(_) => return Ok(()),
                Err(error) if error.status().is_some_and(is_refusal) && !is_about_us(&error.to_string()) => {
                    return Err(MailError::Refused(error.into()));
                }
                // What is refused for good is not asked for again: wrong passwords shut accounts.
                Err(error) if error.is_permanent() || attempt == ATTEMPTS => return Err(MailError::Away(error)),
                Err(_) => tokio::time::sleep(pause).await,
            }
            (attempt, pause) = (attempt + 1, pause * 3);
        }
    }

    fn message(&self, mail: &Mail) -> anyhow::Result<Message> {
        let mut builder = Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, mail.to.clone()))
            .subject(&mail.subject)
            .message_id(mail.message_id.clone())
            .header(ContentType::TEXT_PLAIN)
            .raw_header(HeaderValue::new(
                HeaderName::new_from_ascii_str("Auto-Submitted"),
                "auto-generated".to_owned(),
            ));
        if let Some(url) = &mail.unsubscribe {
            builder = builder
                .raw_header(HeaderValue::new(HeaderName::new_from_ascii_str("List-Unsubscribe"), format!("<{url}>")))
                .raw_header(HeaderValue::new(
                    HeaderName::new_from_ascii_str("List-Unsubscribe-Post"),
                    "List-Unsubscribe=One-Click".to_owned(),
                ));
        }
        Ok(builder.body(body(&mail.text))?)
    }
}

/// Whether a reply refuses this mail for good: its recipient, its content, its size. Those to AUTH (530, 534, 535, 538) and
/// of a wrong order of commands are about us, and of other categories (RFC 5321 §4.2.1).
fn is_refusal(code: Code) -> bool {
    code.severity == Severity::PermanentNegativeCompletion && code.category == Category::MailSystem
}

/// Whether a reply names the sender as what is wrong: its address (RFC 3463 §3.2), or that its domain has not been shown to be
/// ours (RFC 7372, RFC 7505). Then every recipient is refused, and none for good. Servers say so by an enhanced code; without
/// one the reply counts as about the mail.
fn is_about_us(reply: &str) -> bool {
    const CODES: [&str; 9] = ["5.1.7", "5.1.8", "5.7.20", "5.7.21", "5.7.22", "5.7.23", "5.7.25", "5.7.26", "5.7.27"];
    reply.split_whitespace().any(|word| CODES.contains(&word))
}

/// As it is where that is allowed (RFC 5322 §2.1.1), so that a link stays on one line for programs that decode nothing.
fn body(text: &str) -> Body {
    if text.is_ascii() && text.lines().all(|line| line.len() <= LINE_BYTES_MAX) {
        let lines = text.lines().collect::<Vec<_>>().join("\r\n");
        return Body::dangerous_pre_encoded(lines.into_bytes(), ContentTransferEncoding::SevenBit);
    }
    Body::new(text.to_owned())
}

/// Longest line of a mail, without its end.
const LINE_BYTES_MAX: usize = 998;

#[cfg(test)]
mod tests {
    use lettre::transport::smtp::response::Response;

    use super::*;

    #[test]
    fn only_what_is_about_the_mail_refuses_it() {
        for (reply, refuses) in [
            ("550 5.1.1 no such user", true),
            ("552 5.2.2 mailbox full", true),
            ("554 5.7.1 looks like spam", true),
            ("553 5.1.8 sender's domain does not exist", false),
            ("550 5.7.26 this message does not pass authentication checks", false),
            ("450 4.2.0 greylisted", false),
            ("421 4.3.2 shutting down", false),
            ("503 5.5.1 wrong order", false),
            ("530 5.7.0 sign in first", false),
            ("534 5.7.9 mechanism too weak", false),
            ("535 5.7.8 wrong password", false),
        ] {
            let code = format!("{reply}\r\n").parse::<Response>().unwrap().code();
            assert_eq!(is_refusal(code) && !is_about_us(reply), refuses, "{reply}");
        }
    }

    #[test]
    fn a_mail_says_that_a_program_wrote_it_and_how_to_end_it() {
        let from = "Seawall <permits@example.org>".parse().unwrap();
        let mail = Mail {
            to: "someone@example.org".parse().unwrap(),
            subject: "Your morning brief".to_owned(),
            text: format!("One permit changed.\nhttps://example.org/{}\n", "x".repeat(100)),
            message_id: Some("<brief.1@example.org>".to_owned()),
            unsubscribe: Some("https://example.org/unsubscribe/1/abc".to_owned()),
        };
        let text = Mailer { from, server: None }.message(&mail).unwrap().formatted();
        let text = String::from_utf8(text).unwrap();
        for line in [
            "From: Seawall <permits@example.org>",
            "To: someone@example.org",
            "Message-ID: <brief.1@example.org>",
            "Auto-Submitted: auto-generated",
            "List-Unsubscribe: <https://example.org/unsubscribe/1/abc>",
            "List-Unsubscribe-Post: List-Unsubscribe=One-Click",
            "Content-Transfer-Encoding: 7bit",
            "One permit changed.",
            &format!("https://example.org/{}", "x".repeat(100)),
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }
}
