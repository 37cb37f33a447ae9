//! Every request passes here twice: when its head has come, and at its route.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tower::ServiceExt;

use super::audit::AuditEntry;
use super::credential::{Credential, check_address, has_key_parameter};
use super::gate::Access;
use super::meter::paid_by;
use super::principal::{Principal, missing_key};
use super::routes::{Need, is_open, methods_of};
use super::scope::Scope;
use crate::connections::Connection;
use crate::error::{ApiError, ErrorCode};
use crate::metrics;
use crate::middleware::REQUEST_ID;

/// Finds out whose request this is, before anything else is done for it, and takes it from the budget of the key.
pub(crate) async fn authenticate(
    State(access): State<Access>,
    mut request: Request,
    next: Next,
) -> Response {
    let credential = Credential::take(request.headers_mut());
    let principal = match principal(&access, &request, credential) {
        Ok(principal) => principal,
        Err(error) => return refused(error),
    };
    let budget = principal.budget().cloned();
    let requests = budget.as_ref().and_then(|budget| budget.requests.as_ref());
    let taken = requests.map_or(Ok(()), |requests| {
        requests.take_one(Instant::now()).map_err(|wait| {
            let limit = requests.per_minute();
            let detail =
                format!("the requests of this key, max_requests_per_minute = {limit}, are used up");
            ApiError::budget_exceeded(detail, wait)
        })
    });
    let mut response = match taken {
        Err(error) => refused(error),
        Ok(()) => {
            request.extensions_mut().insert(principal);
            paid_by(budget.clone(), next.run(request)).await
        }
    };
    if let Some(budget) = budget {
        budget.tell(response.headers_mut());
    }
    response
}

/// Asks routes in the name of somebody who has been let in, and whose key pays for it.
pub(crate) async fn on_behalf_of(
    principal: Principal,
    routes: Router,
    mut request: Request,
) -> Response {
    let budget = principal.budget().cloned();
    request.extensions_mut().insert(principal);
    let answered = paid_by(budget, routes.oneshot(request)).await;
    answered.unwrap_or_else(|never| match never {})
}

fn principal(
    access: &Access,
    request: &Request,
    credential: Credential,
) -> Result<Principal, ApiError> {
    let Some(keys) = access.keys() else {
        // Clients of other services send keys of their own.
        return Ok(Principal::Anyone);
    };
    let uri = request.uri();
    check_address(uri)?;
    if is_open(request.method().as_str(), uri.path()) {
        return Ok(Principal::Nobody);
    }
    match credential {
        Credential::Key(secret) => Ok(Principal::Holder(keys.find(&secret)?)),
        Credential::None if access.has_open_metrics() && uri.path() == "/metrics" => {
            Ok(Principal::Nobody)
        }
        Credential::None if has_key_parameter(uri) => {
            let detail = "a key in the address is not read, since it would end up in logs; send it in the header Authorization: Bearer or x-api-key";
            Err(ApiError::new(ErrorCode::KeyMissing, detail))
        }
        Credential::None => Err(missing_key()),
        Credential::Unreadable(detail) => Err(ApiError::new(ErrorCode::KeyInvalid, detail)),
    }
}

fn refused(error: ApiError) -> Response {
    metrics::door_closed(error.code());
    error.into_response()
}

/// Lets through who may use the route, and writes down what was done.
pub(crate) async fn authorize(
    State(access): State<Access>,
    request: Request,
    next: Next,
) -> Response {
    let principal = request.extensions().get().cloned();
    let principal = principal.unwrap_or(Principal::Nobody);
    let matched = request.extensions().get::<MatchedPath>().cloned();
    let pattern = matched.as_ref().map_or("", MatchedPath::as_str);
    let need = access.need_of(request.method().as_str(), pattern);
    let log = access
        .audit()
        .filter(|_| is_written_down(request.method(), need));
    let entry = log.map(|log| (log, entry(&principal, &request)));
    let response = match (&principal, need) {
        (Principal::Anyone, _) => next.run(request).await,
        (_, None) => no_such_method(pattern),
        (principal, Some(need)) => match principal.check(need) {
            Ok(()) => next.run(request).await,
            Err(error) => refused(error),
        },
    };
    if let Some((log, entry)) = entry {
        log.write(&entry, response.status());
    }
    response
}

/// A route without this method, as the router would say it. A route that the table does not know has none.
fn no_such_method(pattern: &str) -> Response {
    let mut methods = methods_of(pattern);
    if methods.is_empty() {
        return ApiError::internal(format!("the route {pattern:?} is in no table of access"))
            .into_response();
    }
    if methods.contains(&"GET") {
        methods.push("HEAD");
    }
    let detail = "the header Allow names the methods of this route";
    let mut response = ApiError::new(ErrorCode::MethodNotAllowed, detail).into_response();
    if let Ok(methods) = HeaderValue::from_str(&methods.join(",")) {
        response.headers_mut().insert(header::ALLOW, methods);
    }
    response
}

/// Whatever changes something, and whatever only an administrator may.
fn is_written_down(method: &Method, need: Option<Need>) -> bool {
    match need {
        Some(Need::Scope(Scope::Write | Scope::Admin, _)) => true,
        Some(Need::Scope(..)) => *method == Method::DELETE,
        Some(Need::Nothing) | None => false,
    }
}

fn entry(principal: &Principal, request: &Request) -> AuditEntry {
    let id = request.headers().get(REQUEST_ID);
    let connection = request.extensions().get::<Arc<Connection>>();
    AuditEntry::new(
        principal,
        connection.map(|connection| connection.address()),
        request.method().as_str(),
        request.uri().path(),
        id.and_then(|id| id.to_str().ok()),
    )
}
