//! What the local stack's operator shows: a secret of this checkout's own, so that what needs one can be tried at home.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// As `wrangler dev` and a shell read it, below `.seawall/`.
const FILE: &str = "operator.env";
const NAME: &str = "CONTROL_SECRET=";
/// Bytes from the system's randomness; twice as many digits, more than the 32 that the edge asks for.
const BYTES: usize = 32;

/// Who becomes an administrator of the local site. Nobody has an address of this domain (RFC 2606), and no mail leaves.
pub(super) const ADMIN_EMAIL: &str = "operator@seawall.example";
/// Shown on `/demo`; by its beginning.
pub(super) const INVITE_CODE: &str = "demo-welcome";

/// The secret and where it is kept.
pub(super) struct Operator {
    pub(super) file: PathBuf,
    pub(super) secret: String,
}

impl Operator {
    /// The one of the checkout whose generated files are in `state`; made the first time.
    ///
    /// # Errors
    /// When the file cannot be read or written, or says something else.
    pub(super) fn of(state: &Path) -> Result<Self> {
        let file = state.join(FILE);
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&file) {
            Ok(mut new) => {
                let secret = random().context("cannot read /dev/urandom")?;
                new.write_all(format!("{NAME}{secret}\n").as_bytes())
                    .with_context(|| format!("cannot write {}", file.display()))?;
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error).with_context(|| format!("cannot make {}", file.display())),
        }
        let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        match text.trim_end().strip_prefix(NAME) {
            Some(secret) if secret.len() == 2 * BYTES => Ok(Self { secret: secret.to_owned(), file }),
            _ => bail!("{} is not `{NAME}` and {} digits; remove it, and it is made anew", file.display(), 2 * BYTES),
        }
    }
}

fn random() -> std::io::Result<String> {
    let mut bytes = [0; BYTES];
    fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use seawall_xtask::scratch;

    use super::*;

    #[test]
    fn a_checkout_keeps_its_secret_and_nobody_else_reads_it() -> Result<()> {
        let (one, other) = (scratch::dir("operator")?, scratch::dir("operator")?);
        let first = Operator::of(one.path())?;
        assert_eq!(first.secret.len(), 64);
        assert_eq!(Operator::of(one.path())?.secret, first.secret);
        assert_ne!(Operator::of(other.path())?.secret, first.secret);
        assert_eq!(fs::metadata(&first.file)?.permissions().mode() & 0o777, 0o600);

        // Cut off while it was written.
        fs::write(&first.file, "CONTROL_SECRET=ab")?;
        let error = Operator::of(one.path()).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.contains("operator.env") && error.contains("remove it"), "{error}");
        Ok(())
    }
}
