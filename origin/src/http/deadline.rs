//! Ends requests that take too long.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::limits::REQUEST_TIME_MAX;
use crate::error::Error;

/// Answers 503 when the route has not answered within [`REQUEST_TIME_MAX`]. Dropping the route's work also
/// drops its database connection, which cancels the statement.
pub(crate) async fn layer(request: Request, next: Next) -> Response {
    match tokio::time::timeout(REQUEST_TIME_MAX, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Error::busy("no answer within the longest request time").into_response(),
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use axum::routing::get;
    use http::StatusCode;
    use http::header::RETRY_AFTER;
    use tower::ServiceExt as _;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_route_that_never_answers_is_cut() {
        let route = get(|| async { std::future::pending::<()>().await });
        let app = Router::new().route("/", route).layer(axum::middleware::from_fn(layer));
        let response = app.oneshot(Request::get("/").body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()[RETRY_AFTER], "2");
    }
}
