//! Every route of the service, and the layers around them.

use axum::Router;
use axum::routing::get;
use tower::ServiceBuilder;
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

use crate::app::App;
use crate::middleware;
use crate::openapi;
use crate::routes::{
    collections, docs, documents, embed, encoder, export, health, info, rerank, reranker, search,
    search_batch, similarity, snapshots, v1,
};

/// Where the routes of one collection live a second time.
const COLLECTION_PREFIX: &str = "/collections/{collection}";

/// The whole service.
pub(crate) fn router(app: App) -> Router {
    let settings = app.settings();
    let timeout = TimeoutLayer::with_status_code(
        axum::http::StatusCode::GATEWAY_TIMEOUT,
        settings.server.request_timeout(),
    );
    let routes = documented_routes(app.limits().max_body_bytes).layer(timeout);
    let (routes, _) = routes.merge(untimed_routes()).split_for_parts();
    let routes = routes
        .route("/", get(docs::page))
        .route("/openapi.yaml", get(docs::openapi_yaml))
        .route("/openapi.json", get(docs::openapi_json))
        .merge(SwaggerUi::new("/docs").config(Config::from("/openapi.json")));
    layered(routes, &app).with_state(app)
}

/// The description of every documented route, before [`openapi`] refines it.
pub(crate) fn described_routes() -> OpenApi {
    let routes = documented_routes(usize::MAX).merge(untimed_routes());
    routes.split_for_parts().1
}

fn documented_routes(max_body_bytes: usize) -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(openapi::head())
        .routes(routes!(health::livez))
        .routes(routes!(health::readyz))
        .routes(routes!(health::metrics))
        .routes(routes!(encoder::encoder))
        .routes(routes!(reranker::reranker))
        .routes(routes!(v1::models::list))
        .routes(routes!(info::info))
        .merge(model_routes(max_body_bytes))
        .routes(routes!(collections::list))
        .routes(routes!(
            collections::put,
            collections::get,
            collections::delete
        ))
        .routes(routes!(snapshots::download, snapshots::delete))
        .merge(json_routes(max_body_bytes))
        .merge(streaming_routes())
        .nest(COLLECTION_PREFIX, json_routes(max_body_bytes))
        .nest(COLLECTION_PREFIX, streaming_routes())
}

/// Routes that work on the texts of their JSON body alone.
fn model_routes(max_body_bytes: usize) -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(rerank::post))
        .routes(routes!(v1::embeddings::post))
        .routes(routes!(embed::post))
        .layer(RequestBodyLimitLayer::new(max_body_bytes))
}

/// Routes whose answer may take as long as the data is large.
fn untimed_routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(snapshots::create, snapshots::list))
}

/// Routes of one collection that read a JSON body or none.
fn json_routes(max_body_bytes: usize) -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(
            documents::read::get,
            documents::patch::patch,
            documents::delete::one
        ))
        .routes(routes!(documents::delete::many))
        .routes(routes!(search::post))
        .routes(routes!(search_batch::post))
        .routes(routes!(similarity::post))
        .layer(RequestBodyLimitLayer::new(max_body_bytes))
}

/// Routes of one collection whose body or answer may be a stream of any length.
fn streaming_routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(documents::write::write, documents::read::list))
        .routes(routes!(export::get))
}

/// From the outside in: request id, trace, problem documents, panics, admission; time and size are
/// bounded route by route.
fn layered(routes: Router<App>, app: &App) -> Router<App> {
    let settings = app.settings();
    let compressible = DefaultPredicate::new()
        .and(NotForContentType::const_new("application/x-ndjson"))
        .and(NotForContentType::const_new("application/octet-stream"));
    let max_requests = settings.server.max_concurrent_requests.get();
    let room = middleware::Room::new(max_requests, app.connections().clone());
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
        .layer(CompressionLayer::new().compress_when(compressible))
        .layer(axum::middleware::from_fn(middleware::problem_documents))
        .layer(CatchPanicLayer::custom(middleware::panic_answer))
        .layer(axum::middleware::from_fn(middleware::slow_uploads))
        .layer(axum::middleware::from_fn_with_state(
            room,
            middleware::admit,
        ));
    routes
        .route_layer(axum::middleware::from_fn(middleware::measure))
        .layer(layers)
}
