//! Forms of someone who is signed in: each carries a token that only a page made for this session has.

use std::sync::Arc;

use axum::extract::{FromRef, FromRequest, FromRequestParts as _, RawForm, Request};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::keys::{Purpose, SIGNATURE_BYTES, Signature};
use super::{Accounts, Session, User};
use crate::digest::{hex, unhex};
use crate::error::Error;
use crate::server::Site;

/// What someone sent by a form of ours.
#[derive(Debug)]
pub(crate) struct SignedForm<T> {
    pub(crate) user: User,
    pub(crate) content: T,
}

#[derive(Deserialize)]
struct Field {
    #[serde(default)]
    token: String,
}

impl Accounts {
    /// The token for a form of this session. Each is masked anew, so that a page's compressed length tells nothing of it.
    pub(crate) fn form_token(&self, session: &Session) -> String {
        let mask: Signature = rand::random();
        let signature = self.keys.sign(Purpose::Form, &session.text());
        hex(&[mask, mixed(mask, signature)].concat())
    }

    fn is_form_token(&self, session: &Session, token: &str) -> bool {
        let Some(bytes) = unhex::<{ 2 * SIGNATURE_BYTES }>(token) else { return false };
        let (mut mask, mut masked) = (Signature::default(), Signature::default());
        mask.copy_from_slice(&bytes[..SIGNATURE_BYTES]);
        masked.copy_from_slice(&bytes[SIGNATURE_BYTES..]);
        self.keys.verify(Purpose::Form, &session.text(), &mixed(mask, masked))
    }
}

fn mixed(mut one: Signature, other: Signature) -> Signature {
    one.iter_mut().zip(other).for_each(|(byte, other)| *byte ^= other);
    one
}

impl<S, T> FromRequest<S> for SignedForm<T>
where
    Arc<Site>: FromRef<S>,
    S: Send + Sync,
    T: DeserializeOwned,
{
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        let site = Arc::<Site>::from_ref(state);
        let (mut parts, body) = request.into_parts();
        let user = User::from_request_parts(&mut parts, state).await?;
        let request = Request::from_parts(parts, body);
        let RawForm(bytes) = RawForm::from_request(request, state).await.map_err(|error| error.into_response())?;
        let field: Field = read(&bytes).map_err(Error::into_response)?;
        if !site.accounts.is_form_token(&user.session, &field.token) {
            let public =
                "This form is not from your session any more. Please open the page again and send it once more.";
            return Err(Error::forbidden(public).into_response());
        }
        Ok(Self { user, content: read(&bytes).map_err(Error::into_response)? })
    }
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    serde_urlencoded::from_bytes(bytes)
        .map_err(|_| Error::bad_request("The form is not filled in as this page sends it."))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::accounts::tests::accounts;

    #[test]
    fn a_token_fits_its_session_only_and_never_looks_the_same() {
        let accounts = accounts(&[]);
        let (one, two) = (Session::begin(7, 0, Timestamp::UNIX_EPOCH), Session::begin(7, 0, Timestamp::UNIX_EPOCH));
        let token = accounts.form_token(&one);
        assert!(accounts.is_form_token(&one, &token));
        assert!(!accounts.is_form_token(&two, &token));
        assert_ne!(token, accounts.form_token(&one));
        let mut changed = token.clone();
        changed.replace_range(..1, if token.starts_with('0') { "1" } else { "0" });
        for wrong in ["", "00", &token[..126], &changed, &"0".repeat(128)] {
            assert!(!accounts.is_form_token(&one, wrong), "{wrong}");
        }
    }
}
