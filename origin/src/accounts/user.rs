//! Who is asking, as routes take it for an argument.

use std::sync::Arc;

use axum::extract::{FromRef, FromRequestParts};
use axum::response::{IntoResponse as _, Redirect, Response};
use http::request::Parts;
use jiff::Timestamp;
use tokio_postgres::types::{ToSql, Type};

use super::{Session, private};
use crate::db::Pool;
use crate::error::Error;
use crate::server::Site;

/// Someone who is signed in. As an argument of a route it sends everyone else to the sign-in page.
#[derive(Clone, Debug)]
pub(crate) struct User {
    pub(crate) user_id: i64,
    pub(crate) email: String,
    pub(crate) is_admin: bool,
    pub(crate) brief_frequency: Frequency,
    pub(crate) session: Session,
}

/// An administrator. Others who are signed in find nothing at the address.
#[derive(Clone, Debug)]
pub(crate) struct Admin(pub(crate) User);

/// How often someone gets the morning brief by mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Frequency {
    /// Never.
    None,
    /// Every morning.
    Daily,
    /// Every Monday.
    Weekly,
}

impl Frequency {
    /// All of them, as the form offers them.
    pub(crate) const ALL: [Self; 3] = [Self::None, Self::Daily, Self::Weekly];

    /// As forms and the database have it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Daily => "daily",
            Self::Weekly => "weekly",
        }
    }

    pub(crate) fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|frequency| frequency.as_str() == name)
    }
}

const FIND: &str = "SELECT email, is_admin, brief_frequency FROM users
    WHERE user_id = $1 AND session_generation = $2 AND is_active";

impl User {
    /// The user of a request, if its session holds.
    pub(super) async fn of(site: &Site, parts: &Parts) -> Result<Option<Self>, Error> {
        let Some(session) = site.accounts.session(&parts.headers, Timestamp::now()) else { return Ok(None) };
        let parameters: [(&(dyn ToSql + Sync), Type); 2] =
            [(&session.user_id, Type::INT8), (&session.generation, Type::INT4)];
        // From the primary: a replica may not know yet that the session has ended.
        let rows = site.databases.primary().get().await?.query_typed(FIND, &parameters).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        Ok(Some(Self {
            user_id: session.user_id,
            email: row.try_get(0)?,
            is_admin: row.try_get(1)?,
            brief_frequency: Frequency::find(row.try_get(2)?).ok_or_else(|| Error::bug("an unknown frequency"))?,
            session,
        }))
    }
}

impl<S> FromRequestParts<S> for User
where
    Arc<Site>: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let site = Arc::<Site>::from_ref(state);
        match Self::of(&site, parts).await {
            Ok(Some(user)) => Ok(user),
            Ok(None) => Err(private(Redirect::to("/auth/login"))),
            Err(error) => Err(error.into_response()),
        }
    }
}

impl<S> FromRequestParts<S> for Admin
where
    Arc<Site>: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let user = User::from_request_parts(parts, state).await?;
        if user.is_admin {
            Ok(Self(user))
        } else {
            Err(Error::not_found("There is nothing at this address.").into_response())
        }
    }
}

impl User {
    /// Ends every session of this user, this one too.
    ///
    /// # Errors
    /// When the database does not take it.
    pub(crate) async fn end_sessions(&self, pool: &Pool) -> Result<(), Error> {
        let sql = "UPDATE users SET session_generation = session_generation + 1 WHERE user_id = $1 RETURNING 1";
        pool.get().await?.query_typed(sql, &[(&self.user_id, Type::INT8)]).await?;
        Ok(())
    }

    /// Chooses how often the brief comes by mail.
    ///
    /// # Errors
    /// When the database does not take it.
    pub(crate) async fn choose_brief(&self, pool: &Pool, frequency: Frequency) -> Result<(), Error> {
        let sql = "UPDATE users SET brief_frequency = $2 WHERE user_id = $1 RETURNING 1";
        let parameters: [(&(dyn ToSql + Sync), Type); 2] =
            [(&self.user_id, Type::INT8), (&frequency.as_str(), Type::TEXT)];
        pool.get().await?.query_typed(sql, &parameters).await?;
        Ok(())
    }
}
