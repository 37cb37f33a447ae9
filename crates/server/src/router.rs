//! Every route of the service, and the layers around them.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use axum::routing::{MethodRouter, get, post};
use axum::{Extension, Router};
use tower::ServiceBuilder;
use tower_http::CompressionLevel;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{DefaultPredicate, NotForContentType, Predicate};
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::request_id::{PropagateRequestIdLayer, SetRequestIdLayer};
use tower_http::timeout::TimeoutLayer;
use tower_http::trace::TraceLayer;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use utoipa_swagger_ui::{Config, SwaggerUi};

use crate::access::{self, COLLECTION_PREFIX};
use crate::app::App;
use crate::body_budget;
use crate::body_encoding;
use crate::mcp::Mcp;
use crate::middleware;
use crate::openapi;
use crate::origin::AllowedOrigins;
use crate::routes::{
    aliases, capabilities, clusters, cohere, collections, comparison, docs, documents, duplicates,
    embed, embed_all, encoder, explanation, export, feedback, generations, health, info,
    job_result, jobs, main_task, map, mcp, page, predict, recent_queries, rerank, reranker, search,
    search_batch, search_query, similarity, snapshots, stats, tokenize, train, training_pairs, v1,
};
use crate::telemetry::{Observers, observed};
use crate::tidy_path::tidy_path;

/// The whole service.
pub(crate) fn router(app: App) -> Router {
    let mcp = Mcp::new(routes_of_tools(&app), app.limits().max_body_bytes);
    let routes = all_routes(&app).layer(Extension(mcp));
    let routes = layered(routes, &app).with_state(app);
    // A layer of a router runs after the route was chosen.
    let tidied = ServiceBuilder::new().map_request(tidy_path).service(routes);
    Router::new().fallback_service(tidied)
}

/// Every route, without the layers around all of them.
pub(crate) fn all_routes(app: &App) -> Router<App> {
    let routes = documented_routes(Bounds::of(app)).merge(untimed_routes());
    let (routes, _) = routes.split_for_parts();
    routes
        .route("/page/{*rest}", get(page::page_file))
        .route("/mcp", mcp_route(Bounds::of(app)))
        .route("/openapi.yaml", get(docs::openapi_yaml))
        .route("/openapi.json", get(docs::openapi_json))
        .merge(SwaggerUi::new("/docs").config(Config::from("/openapi.json")))
}

/// A message of a client may call a tool that encodes much.
fn mcp_route(bounds: Bounds) -> MethodRouter<App> {
    let layers = ServiceBuilder::new()
        .layer(bounds.bulk())
        .layer(RequestBodyLimitLayer::new(bounds.max_body_bytes));
    post(mcp::post).layer::<_, Infallible>(layers)
}

/// The routes that tools ask, in the name of somebody who has been let in: what each needs is looked at again.
fn routes_of_tools(app: &App) -> Router {
    let (routes, _) = documented_routes(Bounds::of(app)).split_for_parts();
    let layers = ServiceBuilder::new()
        .layer(axum::middleware::from_fn(middleware::problem_documents))
        .layer(CatchPanicLayer::custom(middleware::panic_answer));
    routes
        .route_layer(axum::middleware::from_fn_with_state(
            app.clone(),
            body_budget::hold_body,
        ))
        .route_layer(axum::middleware::from_fn_with_state(
            app.access().clone(),
            access::authorize,
        ))
        .layer(layers)
        .with_state(app.clone())
}

/// The description of every documented route, before [`openapi`] refines it.
pub(crate) fn described_routes() -> OpenApi {
    let bounds = Bounds {
        max_body_bytes: usize::MAX,
        request_timeout: Duration::MAX,
        bulk_timeout: Duration::MAX,
    };
    let routes = documented_routes(bounds).merge(untimed_routes());
    routes.split_for_parts().1
}

/// What a request may take, of the settings.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    max_body_bytes: usize,
    request_timeout: Duration,
    bulk_timeout: Duration,
}

impl Bounds {
    fn of(app: &App) -> Self {
        let server = &app.settings().server;
        Self {
            max_body_bytes: app.limits().max_body_bytes,
            request_timeout: server.request_timeout,
            bulk_timeout: server.bulk_timeout,
        }
    }

    fn request(self) -> TimeoutLayer {
        TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, self.request_timeout)
    }

    fn bulk(self) -> TimeoutLayer {
        TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, self.bulk_timeout)
    }
}

fn documented_routes(bounds: Bounds) -> OpenApiRouter<App> {
    quick_routes()
        .layer(bounds.request())
        .merge(model_routes(bounds))
        .merge(comparing_routes(bounds))
        .merge(json_routes(bounds))
        .merge(streaming_routes(bounds))
        // Both at once: of two descriptions of a path below a prefix, only the later one is kept.
        .nest(
            COLLECTION_PREFIX,
            json_routes(bounds).merge(streaming_routes(bounds)),
        )
}

/// Routes that read no body, or a small one.
fn quick_routes() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(openapi::head())
        .routes(routes!(page::page))
        .routes(routes!(health::livez))
        .routes(routes!(health::readyz))
        .routes(routes!(health::metrics))
        .routes(routes!(encoder::encoder))
        .routes(routes!(capabilities::capabilities))
        .routes(routes!(reranker::reranker))
        .routes(routes!(health::health))
        .routes(routes!(health::ping))
        .routes(routes!(v1::models::list))
        .routes(routes!(v1::models::list_without_version))
        .routes(routes!(v1::models::get))
        .routes(routes!(v1::models::get_without_version, train::post))
        .routes(routes!(info::info))
        .routes(routes!(stats::get))
        .routes(routes!(collections::list))
        .routes(routes!(
            collections::put,
            collections::get,
            collections::delete
        ))
        .routes(routes!(aliases::list))
        .routes(routes!(aliases::put, aliases::get, aliases::delete))
        .routes(routes!(recent_queries::list, recent_queries::delete))
        .routes(routes!(generations::list, generations::post))
        .routes(routes!(generations::get, generations::delete))
        .routes(routes!(generations::activate))
        .routes(routes!(generations::resume))
        .routes(routes!(snapshots::download, snapshots::delete))
        .routes(routes!(jobs::list, jobs::start))
        .routes(routes!(jobs::get, jobs::delete))
        .routes(routes!(job_result::get))
}

/// Routes that work on the texts of their JSON body alone.
fn model_routes(bounds: Bounds) -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(rerank::post))
        .routes(routes!(v1::embeddings::post))
        .routes(routes!(v1::embeddings::post_without_version))
        .routes(routes!(embed::post))
        .routes(routes!(embed_all::post))
        .routes(routes!(predict::post))
        .routes(routes!(tokenize::tokenize))
        .routes(routes!(tokenize::decode))
        .routes(routes!(main_task::post))
        .routes(routes!(cohere::embed::post_v1))
        .routes(routes!(cohere::embed::post_v2))
        .routes(routes!(cohere::rerank::post_v1))
        .routes(routes!(cohere::rerank::post_v2))
        .layer(RequestBodyLimitLayer::new(bounds.max_body_bytes))
        .layer(bounds.bulk())
}

/// Routes that compare generations by the queries of their JSON body.
fn comparing_routes(bounds: Bounds) -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(comparison::post))
        .layer(RequestBodyLimitLayer::new(bounds.max_body_bytes))
        .layer(bounds.bulk())
}

/// Routes whose answer may take as long as the data is large.
fn untimed_routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(snapshots::create, snapshots::list))
}

/// Routes of one collection that read a JSON body or none.
fn json_routes(bounds: Bounds) -> OpenApiRouter<App> {
    let bulk = OpenApiRouter::new()
        .routes(routes!(documents::delete::many))
        .routes(routes!(similarity::post))
        .routes(routes!(duplicates::post))
        .routes(routes!(clusters::post))
        .routes(routes!(map::post))
        .routes(routes!(feedback::post, feedback::list, feedback::delete))
        .routes(routes!(training_pairs::post))
        .layer(bounds.bulk());
    OpenApiRouter::new()
        .routes(routes!(
            documents::read::get,
            documents::patch::patch,
            documents::delete::one
        ))
        // Beside `POST /documents/delete` the router takes this path for no id.
        .route(
            "/documents/delete",
            get(documents::read::get)
                .patch(documents::patch::patch)
                .delete(documents::delete::one),
        )
        .routes(routes!(
            documents::patch::patch_by_query,
            documents::delete::one_by_query
        ))
        .routes(routes!(search::post, search_query::get))
        .routes(routes!(search_batch::post))
        .routes(routes!(explanation::post))
        .layer(bounds.request())
        .merge(bulk)
        .layer(RequestBodyLimitLayer::new(bounds.max_body_bytes))
}

/// Routes of one collection whose body or answer may be a stream of any length.
fn streaming_routes(bounds: Bounds) -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(documents::write::write, documents::read::list))
        .layer(bounds.bulk())
        .merge(OpenApiRouter::new().routes(routes!(export::get)))
}

/// From the outside in: request id, log, observers of its time, problem documents, panics, keys, admission; at the route, what its key
/// allows. Time and size are bounded route by route.
fn layered(routes: Router<App>, app: &App) -> Router<App> {
    let settings = app.settings();
    let compressible = DefaultPredicate::new()
        .and(NotForContentType::const_new("application/x-ndjson"))
        .and(NotForContentType::const_new("application/octet-stream"));
    let max_requests = settings.server.max_concurrent_requests.get();
    let room = middleware::Room::new(max_requests, app.connections().clone());
    let doors = Arc::new(middleware::Doors::new(&settings.server));
    let layers = ServiceBuilder::new()
        .layer(axum::middleware::from_fn(middleware::plain_request_id))
        .layer(SetRequestIdLayer::x_request_id(
            middleware::MakeRequestUuidV7,
        ))
        .layer(
            TraceLayer::new_for_http()
                .make_span_with(middleware::request_span)
                .on_request(())
                .on_response(middleware::log_response)
                .on_failure(()),
        )
        .layer(PropagateRequestIdLayer::x_request_id())
        .layer(axum::middleware::from_fn_with_state(
            Arc::new(Observers::new(&settings.log, app.traces().cloned())),
            observed,
        ))
        // A gzip encoder takes 300 kB for each answer on its way; one of brotli takes megabytes.
        .layer(
            CompressionLayer::new()
                .no_br()
                .quality(CompressionLevel::Fastest)
                .compress_when(compressible),
        )
        .option_layer(AllowedOrigins::new(&settings.server.allowed_origins).cors())
        .layer(axum::middleware::from_fn(middleware::security_headers))
        .layer(axum::middleware::from_fn(middleware::problem_documents))
        .layer(CatchPanicLayer::custom(middleware::panic_answer))
        .layer(axum::middleware::from_fn_with_state(
            doors,
            middleware::guard_doors,
        ))
        .layer(axum::middleware::from_fn_with_state(
            app.access().clone(),
            access::authenticate,
        ))
        .layer(axum::middleware::from_fn(middleware::slow_uploads))
        .layer(axum::middleware::from_fn_with_state(
            room,
            middleware::admit,
        ))
        .layer(axum::middleware::from_fn_with_state(
            app.clone(),
            body_encoding::decode_body,
        ));
    routes
        .route_layer(axum::middleware::from_fn_with_state(
            app.clone(),
            body_budget::hold_body,
        ))
        .route_layer(axum::middleware::from_fn_with_state(
            app.access().clone(),
            access::authorize,
        ))
        .route_layer(axum::middleware::from_fn(middleware::measure))
        .layer(layers)
}
