use std::ffi::OsStr;
use std::path::PathBuf;

use anyhow::{Result, ensure};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use seawall_xtask::redis::Redis;
use seawall_xtask::scratch::{self, Scratch};

use super::accounts::{BASE, post};
use super::limits::{scripts, write_patient_policy};
use crate::support::mail::MailServer;
use crate::support::{Database, Site, until};

/// An authority, a certificate of its for `localhost`, and an authority that has signed nothing; all as files.
struct Certificates {
    authority: PathBuf,
    other: PathBuf,
    certificate: PathBuf,
    key: PathBuf,
    _folder: Scratch,
}

impl Certificates {
    fn make() -> Result<Self> {
        let folder = scratch::dir("certificates")?;
        let write = |name: &str, text: String| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).map(|()| path)
        };
        let authority = || {
            let mut params = CertificateParams::new(Vec::new())?;
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            let key = KeyPair::generate()?;
            Ok::<_, rcgen::Error>((params.self_signed(&key)?.pem(), Issuer::new(params, key)))
        };
        let ((pem, issuer), (other, _)) = (authority()?, authority()?);
        let key = KeyPair::generate()?;
        let certificate = CertificateParams::new(vec!["localhost".to_owned()])?.signed_by(&key, &issuer)?;
        Ok(Self {
            authority: write("authority.pem", pem)?,
            other: write("other.pem", other)?,
            certificate: write("certificate.pem", certificate.pem())?,
            key: write("key.pem", key.serialize_pem())?,
            _folder: folder,
        })
    }
}

/// Limits are counted in a Redis whose certificate an authority has signed that we trust; another Redis is not believed,
/// and each process counts by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn redis_over_tls_shows_a_certificate() -> Result<()> {
    let (certificates, database) = (Certificates::make()?, Database::create("tls_redis")?);
    let redis = Redis::start_tls(certificates.certificate.clone(), certificates.key.clone())?;
    let url = format!("rediss://localhost:{}", redis.tls_port().unwrap_or_default());
    let policy = certificates.key.with_file_name("policy.toml");
    write_patient_policy(&policy)?;
    let policy = policy.to_string_lossy();
    let counted = async |authority: &PathBuf| {
        let authority = authority.to_string_lossy();
        let variables =
            [("RATE_LIMITS", "on"), ("REDIS_URL", &*url), ("SSL_CERT_FILE", &*authority), ("POLICY_FILE", &policy)];
        let site = Site::start_with(&database.origin, 0, &variables)?;
        let before = scripts(&redis).await?;
        until(async || {
            let answer = site.visitor().get("/api/v1/nowhere").await?;
            ensure!([404, 429].contains(&answer.status), "{}", answer.status);
            let breaker = site.visitor().get("/health").await?.json()?["redis"].clone();
            Ok(breaker != "closed" || scripts(&redis).await? > before)
        })
        .await?;
        Ok::<_, anyhow::Error>(scripts(&redis).await? - before)
    };
    assert!(counted(&certificates.authority).await? > 0);
    assert_eq!(counted(&certificates.other).await?, 0);
    Ok(())
}

/// Mail goes over TLS from the start and after STARTTLS, to a server whose certificate we can check and to no other.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_mail_server_shows_a_certificate() -> Result<()> {
    let (certificates, database) = (Certificates::make()?, Database::create("tls_mail")?);
    let files = [certificates.certificate.as_os_str(), certificates.key.as_os_str()];
    for (scheme, further, implicit) in [("smtps", "", true), ("smtp", "?tls=required", false)] {
        let kind: &[&OsStr] = if implicit { &[OsStr::new("implicit")] } else { &[] };
        let mail = MailServer::start_with(&[&files, kind].concat())?;
        let url = format!("{scheme}://localhost:{}{further}", mail.port());
        let site = |authority: &PathBuf| {
            let authority = authority.to_string_lossy();
            let variables = [("BASE_URL", BASE), ("SMTP_URL", &*url), ("SSL_CERT_FILE", &*authority)];
            Site::start_with(&database.origin, 0, &variables)
        };
        let ask = async |site: &Site, address: &str| {
            until(async || Ok(site.visitor().get("/health/ready").await?.status == 200)).await?;
            let answer = post(site, "/auth/send-link", &format!("email={address}"), &[]).await?;
            ensure!(answer.status == 303, "{}", answer.text());
            Ok(())
        };
        let deceived = site(&certificates.other)?;
        ask(&deceived, &format!("wrong-{scheme}@example.org")).await?;
        until(async || Ok(mail.was_left())).await?;
        let trusting = site(&certificates.authority)?;
        ask(&trusting, &format!("right-{scheme}@example.org")).await?;
        mail.mail_to(&format!("right-{scheme}@example.org"), 1).await?;
        assert!(mail.mails_to(&format!("wrong-{scheme}@example.org"))?.is_empty());
    }
    Ok(())
}
