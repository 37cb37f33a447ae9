//! Bodies that come compressed: what is read is what they were made of.
//!
//! All limits hold for what comes out, and are kept while it comes out; nothing is decompressed before it
//! is asked for. The pace of an upload is that of the bytes on the wire.

use std::io;
use std::pin::Pin;

use async_compression::tokio::bufread::{BrotliDecoder, GzipDecoder, ZlibDecoder, ZstdDecoder};
use async_compression::zstd::DParameter;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt, TryStreamExt};
use tokio::io::AsyncRead;
use tokio_util::io::{ReaderStream, StreamReader};

use crate::app::App;
use crate::body_budget::BodyShare;
use crate::error::{ApiError, ErrorCode};
use crate::extract::{announced_bytes, media_type, too_large};
use crate::routes::documents::is_ndjson;

/// Bytes that come out at a time.
const CHUNK_BYTES: usize = 16 << 10;
/// The largest window of zstd that is taken, as a power of two: 8 MiB, which is what browsers take as well.
/// A frame may ask for two gigabytes.
const MAX_ZSTD_WINDOW_LOG: u32 = 23;
/// What the header `Accept-Encoding` of a refusal says.
const ACCEPTED: &str = "gzip, deflate, br, zstd";

/// How a body is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

/// What was sent is not what its `Content-Encoding` says.
#[derive(Debug, thiserror::Error)]
#[error("the body could not be decompressed as {encoding}: {source}")]
pub(crate) struct Undecodable {
    encoding: &'static str,
    source: io::Error,
}

impl Encoding {
    /// How the body of a request is compressed, if it is.
    ///
    /// # Errors
    /// 415 for a way that is not known here, or for several on top of each other.
    fn of(headers: &HeaderMap) -> Result<Option<Self>, ApiError> {
        let mut encodings = headers.get_all(header::CONTENT_ENCODING).iter();
        let (first, second) = (encodings.next(), encodings.next());
        let Some(value) = first else {
            return Ok(None);
        };
        let name = value.to_str().unwrap_or_default().trim();
        match name.to_ascii_lowercase().as_str() {
            _ if second.is_some() => Err(unsupported("several")),
            "" | "identity" => Ok(None),
            "gzip" | "x-gzip" => Ok(Some(Self::Gzip)),
            "deflate" => Ok(Some(Self::Deflate)),
            "br" => Ok(Some(Self::Brotli)),
            "zstd" => Ok(Some(Self::Zstd)),
            _ => Err(unsupported(name)),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Brotli => "br",
            Self::Zstd => "zstd",
        }
    }

    /// Memory of a decoder: its window, and tables. Those of gzip are small.
    fn decoder_bytes(self) -> usize {
        match self {
            Self::Gzip | Self::Deflate => 0,
            Self::Brotli => 18 << 20,
            Self::Zstd => 10 << 20,
        }
    }

    fn decoder(
        self,
        compressed: impl tokio::io::AsyncBufRead + Send + 'static,
    ) -> Pin<Box<dyn AsyncRead + Send>> {
        match self {
            Self::Gzip => {
                let mut decoder = GzipDecoder::new(compressed);
                // As files are that were appended to each other.
                decoder.multiple_members(true);
                Box::pin(decoder)
            }
            Self::Deflate => Box::pin(ZlibDecoder::new(compressed)),
            Self::Brotli => Box::pin(BrotliDecoder::new(compressed)),
            Self::Zstd => {
                let window = [DParameter::window_log_max(MAX_ZSTD_WINDOW_LOG)];
                let mut decoder = ZstdDecoder::with_params(compressed, &window);
                decoder.multiple_members(true);
                Box::pin(decoder)
            }
        }
    }

    /// What the body was made of. The share is kept for as long as the decoder is there.
    fn decoded(self, body: Body, share: BodyShare) -> Body {
        let compressed = StreamReader::new(body.into_data_stream().map_err(io::Error::other));
        let decoded = ReaderStream::with_capacity(self.decoder(compressed), CHUNK_BYTES);
        let decoded = decoded.map(move |chunk| {
            let _kept = &share;
            chunk.map_err(|error| self.error(error))
        });
        Body::from_stream(in_turns(decoded))
    }

    /// An upload that broke off is no fault of what came until then.
    fn error(self, error: io::Error) -> axum::BoxError {
        let is_of_body = error
            .get_ref()
            .is_some_and(|inner| inner.is::<axum::Error>());
        if is_of_body {
            return error.into();
        }
        Box::new(Undecodable {
            encoding: self.name(),
            source: error,
        })
    }
}

/// Lets other tasks have their turns.
fn in_turns(
    chunks: impl Stream<Item = Result<Bytes, axum::BoxError>> + Send + 'static,
) -> impl Stream<Item = Result<Bytes, axum::BoxError>> + Send + 'static {
    chunks.then(|chunk| async {
        // What a small piece is decompressed to is ready for a long time.
        tokio::task::coop::consume_budget().await;
        chunk
    })
}

fn unsupported(name: &str) -> ApiError {
    let detail = format!("the content encoding is {name:?}; one of {ACCEPTED} is read, or none");
    ApiError::new(ErrorCode::UnsupportedMediaType, detail)
}

/// Decompresses bodies, and refuses at once what says that it is too long.
///
/// A stream of lines may be of any length; everything else is shorter when it is compressed.
pub(crate) async fn decode_body(
    State(app): State<App>,
    mut request: Request,
    next: Next,
) -> Response {
    let max_bytes = app.limits().max_body_bytes;
    let announced = announced_bytes(request.headers());
    let is_stream = is_ndjson(&media_type(request.headers()));
    if !is_stream && announced.is_some_and(|bytes| bytes > max_bytes as u64) {
        return too_large(max_bytes).into_response();
    }
    let encoding = match Encoding::of(request.headers()) {
        Ok(None) => return next.run(request).await,
        Ok(Some(encoding)) => encoding,
        Err(refused) => {
            let mut response = refused.into_response();
            let accepted = HeaderValue::from_static(ACCEPTED);
            response
                .headers_mut()
                .insert(header::ACCEPT_ENCODING, accepted);
            return response;
        }
    };
    let mut share = app.body_budget().share();
    if let Err(refused) = share.resize(encoding.decoder_bytes()) {
        return refused.into_response();
    }
    let headers = request.headers_mut();
    headers.remove(header::CONTENT_ENCODING);
    headers.remove(header::CONTENT_LENGTH);
    let request = request.map(|body| encoding.decoded(body, share));
    next.run(request).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoding(values: &[&str]) -> Result<Option<Encoding>, String> {
        let values = values.iter();
        let headers = values.map(|value| (header::CONTENT_ENCODING, value.parse().unwrap()));
        let refused = |error: ApiError| error.problem(None).detail;
        Encoding::of(&headers.collect()).map_err(refused)
    }

    #[test]
    fn one_of_the_usual_encodings_is_taken_and_others_are_told_which_these_are() {
        for (values, expected) in [
            (&[][..], None),
            (&["identity"], None),
            (&[""], None),
            (&["gzip"], Some(Encoding::Gzip)),
            (&[" X-Gzip "], Some(Encoding::Gzip)),
            (&["deflate"], Some(Encoding::Deflate)),
            (&["br"], Some(Encoding::Brotli)),
            (&["ZSTD"], Some(Encoding::Zstd)),
        ] {
            assert_eq!(encoding(values), Ok(expected), "{values:?}");
        }
        for values in [
            &["compress"][..],
            &["gzip, br"],
            &["gzip", "br"],
            &["gzip;q=1"],
        ] {
            let detail = encoding(values).unwrap_err();
            assert!(detail.contains("gzip, deflate, br, zstd"), "{detail}");
        }
    }
}
