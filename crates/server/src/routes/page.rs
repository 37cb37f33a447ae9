//! The page to search with: files that the binary holds.

use axum::extract::Path;
use axum::http::header;
use axum::response::{Html, IntoResponse, Response};

use crate::error::{ApiError, ErrorCode};

/// What the page may load and do: what comes from this service, and no inline scripts or styles.
const PAGE_POLICY: &str = "default-src 'none'; connect-src 'self'; img-src 'self' data:; \
     script-src 'self'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// A file below `/page/`.
struct PageFile {
    name: &'static str,
    media_type: &'static str,
    text: &'static str,
}

macro_rules! page_file {
    ($name:literal, $media_type:literal) => {
        PageFile {
            name: $name,
            media_type: $media_type,
            text: include_str!(concat!("../../assets/page/", $name)),
        }
    };
}

macro_rules! script {
    ($name:literal) => {
        page_file!($name, "text/javascript; charset=utf-8")
    };
}

const FILES: &[PageFile] = &[
    page_file!("page.css", "text/css; charset=utf-8"),
    script!("add.js"),
    script!("api.js"),
    script!("collections.js"),
    script!("compare.js"),
    script!("document.js"),
    script!("duplicates.js"),
    script!("element.js"),
    script!("explanation.js"),
    script!("facets.js"),
    script!("generations.js"),
    script!("hint.js"),
    script!("hit.js"),
    script!("job.js"),
    script!("key.js"),
    script!("main.js"),
    script!("map.js"),
    script!("rows.js"),
    script!("scatter.js"),
    script!("search.js"),
    script!("statistics.js"),
    script!("table.js"),
    script!("upload.js"),
    script!("view.js"),
];

/// A page to search with.
///
/// It needs nothing from elsewhere.
#[utoipa::path(
    get, path = "/", operation_id = "page", tag = "operations",
    responses((status = 200, body = String, content_type = "text/html"))
)]
pub(crate) async fn page() -> Response {
    let headers = [(header::CONTENT_SECURITY_POLICY, PAGE_POLICY)];
    (headers, Html(include_str!("../../assets/index.html"))).into_response()
}

/// `GET /page/{name}`: what the page is made of.
///
/// # Errors
/// 404 for every other name.
pub(crate) async fn page_file(Path(name): Path<String>) -> Result<Response, ApiError> {
    let Some(file) = FILES.iter().find(|file| file.name == name) else {
        return Err(ApiError::new(ErrorCode::NotFound, "There is no such file."));
    };
    let headers = [(header::CONTENT_TYPE, file.media_type)];
    Ok((headers, file.text).into_response())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    #[test]
    fn every_file_of_the_page_is_served() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/page");
        let there: BTreeSet<String> = fs_err::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        let served: BTreeSet<String> = FILES.iter().map(|file| file.name.to_owned()).collect();
        assert_eq!(there, served);
    }

    #[test]
    fn scripts_import_only_what_is_served() {
        let imported = FILES
            .iter()
            .flat_map(|file| file.text.split(" from \"./").skip(1))
            .map(|rest| rest.split('"').next().unwrap());
        for name in imported {
            assert!(FILES.iter().any(|file| file.name == name), "{name}");
        }
    }
}
