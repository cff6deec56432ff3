//! `DATABASE_URL`: where the database is, and how far its certificate is trusted.
//!
//! # Design
//! `sslmode` means what libpq means by it. `prefer` and `require` encrypt without verifying the certificate, which
//! is what the self-signed certificates of hosted databases (Railway's among them) allow; `verify-full` checks
//! certificate and host name against the platform's roots, to which `SSL_CERT_FILE` adds. `prefer` is the default
//! and uses plain TCP where the server offers nothing better, so a database on loopback needs no setting.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::tls;

/// A parsed `DATABASE_URL`.
pub struct Target {
    /// Host, user, database and options.
    pub config: tokio_postgres::Config,
    /// How connections are encrypted.
    pub tls: MakeRustlsConnect,
}

/// Why a `DATABASE_URL` was refused. Never holds the URL, which holds a password.
#[derive(Debug, thiserror::Error)]
pub enum UrlError {
    /// Another scheme, or none.
    #[error("DATABASE_URL does not start with postgres:// or postgresql://")]
    Scheme,
    /// No host to connect to.
    #[error("DATABASE_URL names no host")]
    Host,
    /// Not understood by the driver.
    #[error("DATABASE_URL is not understood")]
    Syntax(#[source] tokio_postgres::Error),
    /// The platform's root certificates could not be read.
    #[error("sslmode=verify-full needs the platform's root certificates")]
    Roots(#[source] rustls::Error),
}

/// Reads a `DATABASE_URL`.
///
/// # Errors
/// When it is not a Postgres URL with a host, or `verify-full` finds no root certificates.
pub fn parse_url(url: &str) -> Result<Target, UrlError> {
    if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
        return Err(UrlError::Scheme);
    }
    // The driver does not know verify-full; to it that is `require` with another verifier.
    let verify = url.contains(VERIFY_FULL);
    let config: tokio_postgres::Config =
        url.replace(VERIFY_FULL, "sslmode=require").parse().map_err(UrlError::Syntax)?;
    if config.get_hosts().is_empty() {
        return Err(UrlError::Host);
    }
    Ok(Target { config, tls: MakeRustlsConnect::new(client_config(verify)?) })
}

const VERIFY_FULL: &str = "sslmode=verify-full";

fn client_config(verify: bool) -> Result<ClientConfig, UrlError> {
    let provider = tls::provider();
    let verifier: Arc<dyn ServerCertVerifier> = if verify {
        Arc::new(rustls_platform_verifier::Verifier::new(Arc::clone(&provider)).map_err(UrlError::Roots)?)
    } else {
        Arc::new(AnyCertificate(Arc::clone(&provider)))
    };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring supports both TLS versions that rustls is built with");
    Ok(builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
}

/// Accepts any certificate, as `sslmode=require` asks; the peer still has to prove that it holds its key.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use tokio_postgres::config::SslMode;

    use super::*;

    #[test]
    fn urls_are_checked_before_use() {
        for (url, expected) in [
            ("postgres://u:p@h:1/d", Ok(SslMode::Prefer)),
            ("postgresql://h/d?sslmode=disable", Ok(SslMode::Disable)),
            ("postgres://h/d?sslmode=require", Ok(SslMode::Require)),
            ("mysql://h/d", Err("DATABASE_URL does not start with postgres:// or postgresql://")),
            ("host=h", Err("DATABASE_URL does not start with postgres:// or postgresql://")),
            ("postgres:///d", Err("DATABASE_URL names no host")),
            ("postgres://h/d?sslmode=maybe", Err("DATABASE_URL is not understood")),
            ("postgres://h:port/d", Err("DATABASE_URL is not understood")),
        ] {
            let parsed = parse_url(url).map(|target| target.config.get_ssl_mode()).map_err(|error| error.to_string());
            assert_eq!(parsed, expected.map_err(str::to_owned), "{url}");
        }
    }
}
